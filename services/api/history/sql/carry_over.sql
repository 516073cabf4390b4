-- What is older than the stream's first event can't be folded any more: it is kept as it was.
WITH runs AS (
    INSERT INTO history_next.run SELECT * FROM history.run WHERE id < $1 ON CONFLICT DO NOTHING RETURNING 1
), jobs AS (
    INSERT INTO history_next.job SELECT * FROM history.job WHERE sequence < $1 ON CONFLICT DO NOTHING
), schedules AS (
    INSERT INTO history_next.schedule SELECT * FROM history.schedule WHERE sequence < $1 ON CONFLICT DO NOTHING
), slots AS (
    INSERT INTO history_next.slot SELECT * FROM history.slot WHERE sequence < $1 ON CONFLICT DO NOTHING
), parked AS (
    INSERT INTO history_next.parked SELECT * FROM history.parked WHERE sequence < $1 ON CONFLICT DO NOTHING
), keys AS (
    INSERT INTO history_next.idempotency SELECT * FROM history.idempotency WHERE run_id < $1 ON CONFLICT DO NOTHING
)
SELECT count(*) FROM runs
