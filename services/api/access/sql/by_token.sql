SELECT token.hash, account.id, account.name, account.role
FROM access.token JOIN access.account ON account.id = token.account_id
WHERE token.hash = ANY($1::bytea[]) AND token.revoked_at IS NULL
