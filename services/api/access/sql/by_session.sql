SELECT account.id, account.name, account.role
FROM access.session JOIN access.account ON account.id = session.account_id
WHERE session.hash = $1 AND session.expires_at > now()
