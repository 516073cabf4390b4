-- The last runs of every job, oldest first.
SELECT last_run.*
FROM (SELECT DISTINCT job_type FROM history.job) AS job
CROSS JOIN LATERAL (
    SELECT id, job_type, status, phase, started_at, completed_at, duration_ms, cancelled_by
    FROM history.run WHERE run.job_type = job.job_type ORDER BY started_at DESC LIMIT $1
) AS last_run
ORDER BY last_run.job_type, last_run.started_at, last_run.id
