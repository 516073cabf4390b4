-- How long the last $1 successes of each job took; with $2 and $3, as of that sequence and instant.
SELECT job.job_type, usual.median_ms, usual.p95_ms, usual.successes
FROM history.tally AS job
CROSS JOIN LATERAL (
    SELECT
        percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) AS median_ms,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) AS p95_ms,
        count(*) AS successes
    FROM (
        SELECT duration_ms FROM history.run
        WHERE run.job_type = job.job_type AND run.state = 'succeeded'
          AND ($2::bigint IS NULL OR run.id <= $2) AND ($3::timestamptz IS NULL OR run.completed_at <= $3)
        ORDER BY id DESC LIMIT $1
    ) AS latest
) AS usual
WHERE job.quarter = '-infinity' AND job.state = 'succeeded' AND usual.successes > 0
