INSERT INTO schedule (
    job_type, sequence, changed_at, change_json
)
SELECT * FROM unnest(
    $1::text[], $2::bigint[], $3::timestamptz[], $4::text[]
)
ON CONFLICT (job_type) DO UPDATE SET
    sequence = excluded.sequence,
    changed_at = excluded.changed_at,
    change_json = excluded.change_json
WHERE schedule.sequence < excluded.sequence
