UPDATE command.bulk_run AS one SET outcome = settled.outcome, why = settled.why, made = settled.made
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[]) AS settled (run_id, outcome, why, made)
WHERE one.bulk_id = $1 AND one.run_id = settled.run_id
