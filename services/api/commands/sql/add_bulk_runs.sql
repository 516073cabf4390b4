INSERT INTO command.bulk_run (bulk_id, run_id, outcome, why)
SELECT $1, id, CASE WHEN why IS NULL THEN 'waiting' ELSE 'left' END, why
FROM unnest($2::bigint[], $3::text[]) AS judged (id, why)
