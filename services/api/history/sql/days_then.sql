-- The same as of sequence $5 and instant $6: quarters that were over, the runs of the one that was not, and those that
-- were open then, counted as what they were.
WITH bounds AS (
    SELECT
        $2::date::timestamp AT TIME ZONE $1::text AS since,
        $3::date::timestamp AT TIME ZONE $1::text AS until,
        date_bin('15 minutes', $6::timestamptz, 'epoch') AS quarter
),
over AS (
    SELECT tally.quarter AS at, job_type, state, count FROM history.tally, bounds
    WHERE tally.quarter >= since AND tally.quarter < least(until, bounds.quarter)
),
lately AS (
    SELECT triggered_at AS at, job_type, state, 1 AS count FROM history.run, bounds
    WHERE triggered_at >= greatest(since, bounds.quarter) AND triggered_at < until AND triggered_at <= $6 AND id <= $5::bigint
),
ended_since AS (
    SELECT id, triggered_at, job_type, state FROM history.run
    WHERE completed_at > $6::timestamptz AND id <= $5::bigint
      AND triggered_at BETWEEN $6::timestamptz - interval '1 hour' AND $6::timestamptz + interval '1 minute'
    UNION
    SELECT id, triggered_at, job_type, state FROM history.run
    WHERE completed_at > $6::timestamptz AND completed_at - triggered_at > interval '1 hour' AND id <= $5::bigint
),
moved AS (
    SELECT triggered_at AS at, job_type, moved.state, moved.count
    FROM ended_since, bounds, LATERAL (VALUES (ended_since.state, -1), ('executing', 1)) AS moved (state, count)
    WHERE triggered_at >= since AND triggered_at < until AND triggered_at <= $6::timestamptz
)
SELECT (at AT TIME ZONE $1::text)::date AS day, job_type, state, sum(count)::bigint AS count
FROM (SELECT * FROM over UNION ALL SELECT * FROM lately UNION ALL SELECT * FROM moved) AS counted
WHERE $4::text IS NULL OR job_type = $4
GROUP BY 1, 2, 3 HAVING sum(count) <> 0
ORDER BY 1, 2, 3
