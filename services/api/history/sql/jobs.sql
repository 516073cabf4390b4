-- The newest definition of each job, and the newest change of its schedule; with $2, as they were at that sequence.
SELECT DISTINCT ON (job.job_type)
    job.definition_json, schedule.change_json, job.sequence AS defined_at, schedule.sequence AS changed_at
FROM history.job
LEFT JOIN LATERAL (
    SELECT change_json, sequence FROM history.schedule
    WHERE schedule.job_type = job.job_type AND ($2::bigint IS NULL OR schedule.sequence <= $2)
    ORDER BY schedule.sequence DESC LIMIT 1
) AS schedule ON true
WHERE ($1::text IS NULL OR job.job_type = $1) AND ($2::bigint IS NULL OR job.sequence <= $2)
ORDER BY job.job_type, job.sequence DESC
