-- The newest runs that somebody cancelled, with $2 until then; job by job, because the index is.
SELECT cancelled.*
FROM (SELECT DISTINCT job_type FROM history.job) AS job
CROSS JOIN LATERAL (
    SELECT id, job_type, completed_at, cancelled_by FROM history.run
    WHERE run.job_type = job.job_type AND run.state = 'cancelled' AND ($2::timestamptz IS NULL OR run.completed_at <= $2)
    ORDER BY id DESC
    LIMIT $1
) AS cancelled
ORDER BY cancelled.completed_at DESC
LIMIT $1
