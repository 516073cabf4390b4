-- Runs by job and state.
SELECT job_type, state, count FROM history.tally WHERE quarter = '-infinity' AND count > 0
