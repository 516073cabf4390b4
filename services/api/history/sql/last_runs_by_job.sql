SELECT last_run.*
FROM history.job
CROSS JOIN LATERAL (
    SELECT * FROM history.run WHERE run.job_type = job.job_type ORDER BY started_at DESC, id DESC LIMIT 1
) AS last_run
