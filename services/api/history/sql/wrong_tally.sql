SELECT quarter, job_type, state, coalesce(kept.count, 0) AS served, coalesce(taken.count, 0) AS counted
FROM (SELECT * FROM tally WHERE count <> 0) AS kept
FULL JOIN (
    SELECT coalesce(quarter, '-infinity') AS quarter, job_type, state, count(*) AS count
    FROM (SELECT date_bin('15 minutes', triggered_at, 'epoch') AS quarter, job_type, state FROM run) AS binned
    GROUP BY GROUPING SETS ((quarter, job_type, state), (job_type, state))
) AS taken USING (quarter, job_type, state)
WHERE kept.count IS DISTINCT FROM taken.count
LIMIT $1
