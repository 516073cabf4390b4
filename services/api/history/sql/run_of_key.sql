SELECT run_id FROM history.idempotency WHERE event_id = $1
