SELECT *, run_id AS age FROM idempotency ORDER BY event_id
