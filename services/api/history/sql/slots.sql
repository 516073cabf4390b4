-- Newest first. Job by job, because the index is: without a job type there would be all slots to sort.
SELECT newest.*
FROM (SELECT DISTINCT job_type FROM history.job) AS job
CROSS JOIN LATERAL (
    SELECT sequence, job_type, scheduled_for, outcome, reason, recorded_at
    FROM history.slot
    WHERE slot.job_type = job.job_type AND ($3::bigint IS NULL OR slot.sequence <= $3)
    ORDER BY scheduled_for DESC, sequence DESC
    LIMIT $2
) AS newest
WHERE $1::text IS NULL OR job.job_type = $1
ORDER BY newest.scheduled_for DESC, newest.sequence DESC
LIMIT $2
