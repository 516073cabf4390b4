-- Whoever writes the read model takes this first, so that names are looked up only after a rebuild has swapped.
SELECT pg_advisory_xact_lock(1802661742, 2)
