SELECT account.id AS account_id, account.name AS account, sign_in.signed_in_at, sign_in.address, sign_in.agent
FROM access.sign_in JOIN access.account ON account.id = sign_in.account_id
WHERE $2::timestamptz IS NULL OR sign_in.signed_in_at <= $2
ORDER BY sign_in.id DESC
LIMIT $1
