SELECT run_id FROM command.bulk_run WHERE bulk_id = $1 AND outcome = 'waiting' ORDER BY run_id LIMIT $2
