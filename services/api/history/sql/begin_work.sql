-- Nothing comes back while another one is at it.
INSERT INTO replay.work AS work (kind, id, by, ask)
VALUES ($1, $2, $3, $4)
ON CONFLICT (kind) DO UPDATE SET
    id = excluded.id, by = excluded.by, ask = excluded.ask, begun_at = now(), seen_at = now(), ended_at = NULL,
    phase = 'starting', position = 0, total = 0, wish = NULL, diff = NULL, report = NULL, problem = NULL
WHERE work.ended_at IS NOT NULL OR work.seen_at < now() - interval '20 seconds'
RETURNING id
