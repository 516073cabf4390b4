INSERT INTO access.sign_in_link (hash, account_id, expires_at) VALUES ($1, $2, now() + $3::interval)
