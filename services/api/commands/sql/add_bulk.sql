INSERT INTO command.bulk (id, command, filter, account_id) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING
RETURNING true
