-- One number that is the same where all of them are; $1: the stream's first event.
SELECT coalesce(sum((term & 2147483647) * (run_id & 2147483647)), 0) FROM param WHERE run_id >= $1
