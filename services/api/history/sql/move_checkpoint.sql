UPDATE checkpoint SET sequence = $3, event_id = $4 WHERE sequence = $1 AND event_id = $2
