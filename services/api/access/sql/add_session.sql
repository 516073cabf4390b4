INSERT INTO access.session (hash, account_id, expires_at) VALUES ($1, $2, now() + $3::interval)
