SELECT
    kind, id, by, ask, begun_at, ended_at, phase, position, total, diff, report, problem,
    extract(epoch FROM coalesce(ended_at, now()) - begun_at)::float8 AS seconds,
    seen_at < now() - interval '20 seconds' AND ended_at IS NULL AS lost
FROM replay.work
WHERE kind = $1
