UPDATE command.bulk SET worked_at = clock_timestamp(), ended_at = CASE WHEN $2 THEN clock_timestamp() END WHERE id = $1
