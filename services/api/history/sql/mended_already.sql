-- Of these runs, those that failed and that a later run has made good.
UPDATE run
SET state = 'mended'
WHERE id = any($1::bigint[])
  AND state = 'failed'
  AND EXISTS (
    SELECT FROM run AS success
    WHERE success.job_type = run.job_type
      AND success.work = run.work
      AND success.state = 'succeeded'
      AND success.id > run.id
  )
