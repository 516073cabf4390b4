SELECT event_id, run_id FROM history.idempotency WHERE event_id = ANY($1::text[])
