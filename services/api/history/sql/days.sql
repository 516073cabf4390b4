-- Runs by day in zone $1, job and state, of the days from $2 until before $3; of the job $4 alone, if it is named.
SELECT (quarter AT TIME ZONE $1::text)::date AS day, job_type, state, sum(count)::bigint AS count
FROM history.tally
WHERE quarter >= $2::date::timestamp AT TIME ZONE $1::text AND quarter < $3::date::timestamp AT TIME ZONE $1::text
  AND ($4::text IS NULL OR job_type = $4)
GROUP BY 1, 2, 3 HAVING sum(count) > 0
ORDER BY 1, 2, 3
