-- Of each run, why it is not asked to stop; null where it is.
SELECT run.id, CASE
    WHEN run.state NOT IN ('queued', 'executing', 'retrying') THEN 'finished'
    WHEN run.cancel_requested_by IS NOT NULL THEN 'cancel_asked_already'
END AS why
FROM unnest($1::bigint[]) AS selected (id)
CROSS JOIN LATERAL (SELECT * FROM history.run WHERE run.id = selected.id LIMIT 1) AS run  -- one by one, however many
ORDER BY run.id
