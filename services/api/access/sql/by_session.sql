SELECT session.hash, account.id, account.name, account.role
FROM access.session JOIN access.account ON account.id = session.account_id
WHERE session.hash = ANY($1::bytea[]) AND session.expires_at > now()
