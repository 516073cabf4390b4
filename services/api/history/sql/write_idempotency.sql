-- The first run of a key is the key's run.
INSERT INTO idempotency (
    event_id, run_id
)
SELECT * FROM unnest(
    $1::text[], $2::bigint[]
)
ON CONFLICT (event_id) DO NOTHING
