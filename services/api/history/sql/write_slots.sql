INSERT INTO slot (
    sequence, job_type, scheduled_for, outcome, reason, recorded_at
)
SELECT * FROM unnest(
    $1::bigint[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::timestamptz[]
)
ON CONFLICT (sequence) DO NOTHING
