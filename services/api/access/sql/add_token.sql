INSERT INTO access.token (hash, account_id, name) VALUES ($1, $2, $3)
