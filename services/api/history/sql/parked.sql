SELECT sequence, subject, time, problem, excerpt
FROM history.parked
WHERE $2::bigint IS NULL OR sequence <= $2
ORDER BY sequence DESC LIMIT $1
