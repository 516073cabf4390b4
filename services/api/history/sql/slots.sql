SELECT sequence, job_type, scheduled_for, outcome, reason, recorded_at
FROM history.slot
WHERE $1::text IS NULL OR job_type = $1
ORDER BY scheduled_for DESC, sequence DESC
LIMIT $2
