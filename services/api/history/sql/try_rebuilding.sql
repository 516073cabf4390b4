-- Held as long as the connection lives: one rebuild at a time.
SELECT pg_try_advisory_lock(1802661742, 3)
