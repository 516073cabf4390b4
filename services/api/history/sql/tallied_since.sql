-- How many runs were asked for since then, by state; to the quarter of an hour.
SELECT state, sum(count)::bigint AS count
FROM history.tally
WHERE quarter >= date_bin('15 minutes', $1::timestamptz, 'epoch')
GROUP BY state
