-- Held as long as the connection lives: one process projects.
SELECT pg_try_advisory_lock(1802661742, 1)
