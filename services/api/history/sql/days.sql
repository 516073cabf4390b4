-- Runs by day in zone $1, job and state, of the days from $2 until before $3; of the job $4 alone, if it is named.
SELECT day.day::date AS day, counted.job_type, counted.state, counted.count
FROM generate_series($2::date::timestamp, $3::date::timestamp - interval '1 day', interval '1 day') AS day
CROSS JOIN LATERAL (
    SELECT job_type, state, sum(count)::bigint AS count
    FROM history.tally
    WHERE quarter >= day.day AT TIME ZONE $1::text AND quarter < (day.day + interval '1 day') AT TIME ZONE $1::text
      AND ($4::text IS NULL OR job_type = $4)
    GROUP BY job_type, state
) AS counted
WHERE counted.count > 0
ORDER BY 1, 2, 3
