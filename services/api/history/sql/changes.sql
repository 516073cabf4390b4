-- Changes of schedules within a time, newest first.
SELECT job_type, sequence, changed_at, change_json
FROM history.schedule
WHERE changed_at >= $1 AND changed_at < $2
ORDER BY sequence DESC
LIMIT $3
