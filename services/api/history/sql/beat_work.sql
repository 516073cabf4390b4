-- How far it is; the answer is what somebody wishes.
UPDATE replay.work
SET seen_at = now(), phase = $3, position = $4, total = $5, diff = $6
WHERE kind = $1 AND id = $2 AND ended_at IS NULL
RETURNING coalesce(wish, '') AS wish
