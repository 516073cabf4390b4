-- All at once, before the triggers are there.
INSERT INTO tally (quarter, job_type, state, count)
SELECT coalesce(quarter, '-infinity'), job_type, state, count(*)
FROM (SELECT date_bin('15 minutes', triggered_at, 'epoch') AS quarter, job_type, state FROM run) AS binned
GROUP BY GROUPING SETS ((quarter, job_type, state), (job_type, state))
