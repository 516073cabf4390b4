SELECT run_id, outcome, why, made FROM command.bulk_run
WHERE bulk_id = $1 AND run_id > $2 AND ($3::text IS NULL OR outcome = $3)
ORDER BY run_id LIMIT $4
