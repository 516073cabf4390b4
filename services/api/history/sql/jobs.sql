SELECT job.definition_json, schedule.change_json, job.sequence AS defined_at, schedule.sequence AS changed_at
FROM history.job LEFT JOIN history.schedule USING (job_type)
WHERE $1::text IS NULL OR job_type = $1
ORDER BY job_type
