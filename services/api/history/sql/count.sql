SELECT (SELECT count(*) FROM run) AS runs, (SELECT count(*) FROM parked) AS parked
