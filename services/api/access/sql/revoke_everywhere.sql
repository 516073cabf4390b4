UPDATE access.token SET revoked_at = now()
FROM access.account
WHERE account.id = token.account_id AND token.name = $1 AND revoked_at IS NULL AND ($2::text IS NULL OR account.name = $2)
