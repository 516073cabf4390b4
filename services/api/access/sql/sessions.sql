SELECT encode(session.hash, 'hex') AS id, account.name AS account, account.role, session.created_at, session.used_at, session.expires_at, session.address, session.agent
FROM access.session JOIN access.account ON account.id = session.account_id
WHERE session.expires_at > now()
ORDER BY coalesce(session.used_at, session.created_at) DESC
LIMIT $1
