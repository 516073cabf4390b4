INSERT INTO parked (
    sequence, subject, time, problem, excerpt
)
SELECT * FROM unnest(
    $1::bigint[], $2::text[], $3::timestamptz[], $4::text[], $5::text[]
)
ON CONFLICT (sequence) DO NOTHING
