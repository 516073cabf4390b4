-- Failures since then, newest first; job by job and state by state, because the index is. The states are named, not
-- joined: of a value that it does not know Postgres takes every row to have it where all rows have the same, as in a
-- history without a failure, and walks them all. The ids since then are asked for first: runs are asked for in their
-- order, but for clocks that differ a little.
SELECT failed.id, failed.job_type, failed.started_at, coalesce(failed.error_message, '') AS error,
       failed.state = 'mended' AS made_good
FROM (SELECT DISTINCT job_type FROM history.job) AS job
CROSS JOIN (
    SELECT min(id) AS first FROM (
        SELECT id FROM history.run WHERE triggered_at >= $1 ORDER BY triggered_at, id LIMIT 1000
    ) AS near
) AS since
CROSS JOIN LATERAL (
    (
        SELECT id, job_type, state, triggered_at, started_at, error_message
        FROM history.run
        WHERE run.job_type = job.job_type AND run.state = 'failed' AND run.id >= since.first
        ORDER BY id DESC
        LIMIT $2
    )
    UNION ALL
    (
        SELECT id, job_type, state, triggered_at, started_at, error_message
        FROM history.run
        WHERE run.job_type = job.job_type AND run.state = 'mended' AND run.id >= since.first
        ORDER BY id DESC
        LIMIT $2
    )
) AS failed
WHERE failed.triggered_at >= $1
ORDER BY failed.id DESC
