SELECT bulk_id, outcome, why, count(*) AS count FROM command.bulk_run WHERE bulk_id = ANY($1::text[]) GROUP BY 1, 2, 3
