SELECT encode(token.hash, 'hex') AS id, account.name AS account, account.role, token.name, token.created_at, token.revoked_at, token.used_at, token.used_from
FROM access.token JOIN access.account ON account.id = token.account_id
ORDER BY account.name, token.created_at, token.name
