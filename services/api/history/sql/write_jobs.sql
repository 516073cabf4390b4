INSERT INTO job (
    job_type, sequence, definition_json
)
SELECT * FROM unnest(
    $1::text[], $2::bigint[], $3::text[]
)
ON CONFLICT (job_type) DO UPDATE SET
    sequence = excluded.sequence,
    definition_json = excluded.definition_json
WHERE job.sequence < excluded.sequence
