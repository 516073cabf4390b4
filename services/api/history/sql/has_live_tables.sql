SELECT count(*) = 7
FROM information_schema.tables
WHERE table_schema = 'history'
  AND table_name IN ('run', 'job', 'schedule', 'slot', 'parked', 'idempotency', 'checkpoint')
