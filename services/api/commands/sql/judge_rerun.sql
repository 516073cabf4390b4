-- Of each run, why it is not run again; null where it is. $2: job types that a runner has announced and that are in use.
-- $3: those that are retired.
SELECT run.id, CASE
    WHEN run.state IN ('queued', 'executing', 'retrying') THEN 'running'
    WHEN run.problem IS NOT NULL THEN 'unreadable'
    WHEN run.state = 'mended' THEN 'succeeded_since'
    WHEN run.job_type = ANY($3::text[]) THEN 'job_retired'
    WHEN run.job_type <> ALL($2::text[]) THEN 'job_unknown'
    WHEN EXISTS (SELECT FROM history.run AS again WHERE again.rerun_of = run.id) THEN 'run_again_since'
END AS why
FROM unnest($1::bigint[]) AS selected (id)
CROSS JOIN LATERAL (SELECT * FROM history.run WHERE run.id = selected.id LIMIT 1) AS run  -- one by one, however many
ORDER BY run.id
