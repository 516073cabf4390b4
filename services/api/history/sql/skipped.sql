-- Slots since then that did not become a run, newest first; job by job, because the index is. With $3: as of it.
SELECT newest.*
FROM (SELECT DISTINCT job_type FROM history.job) AS job
CROSS JOIN LATERAL (
    SELECT sequence, job_type, scheduled_for, outcome, reason, recorded_at
    FROM history.slot
    WHERE slot.job_type = job.job_type AND scheduled_for >= $1 AND ($3::bigint IS NULL OR slot.sequence <= $3)
    ORDER BY scheduled_for DESC, sequence DESC
    LIMIT $2
) AS newest
ORDER BY newest.scheduled_for DESC, newest.sequence DESC
