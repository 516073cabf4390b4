SELECT
    (SELECT coalesce(sum(count), 0)::bigint FROM tally WHERE quarter = '-infinity') AS runs,
    (SELECT count(*) FROM parked) AS parked
