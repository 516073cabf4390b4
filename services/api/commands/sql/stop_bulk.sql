INSERT INTO command.bulk_stop (bulk_id, account_id)
SELECT id, $2 FROM command.bulk WHERE id = $1 AND ended_at IS NULL
ON CONFLICT DO NOTHING
