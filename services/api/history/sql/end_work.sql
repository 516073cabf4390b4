UPDATE replay.work
SET ended_at = now(), seen_at = now(), report = $3, problem = $4
WHERE kind = $1 AND id = $2 AND ended_at IS NULL
