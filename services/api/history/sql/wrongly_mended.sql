-- Failures whose state is not what the other runs say, up to $1 of them.
SELECT failed.id, failed.state AS served, CASE WHEN good.made THEN 'mended' ELSE 'failed' END AS folded
FROM run AS failed
CROSS JOIN LATERAL (
    SELECT EXISTS (
        SELECT FROM run AS success
        WHERE success.job_type = failed.job_type
          AND success.work = failed.work
          AND success.state = 'succeeded'
          AND success.id > failed.id
    ) AS made
) AS good
WHERE failed.state IN ('failed', 'mended') AND good.made <> (failed.state = 'mended')
LIMIT $1
