UPDATE replay.work SET wish = $2 WHERE kind = $1 AND ended_at IS NULL RETURNING id
