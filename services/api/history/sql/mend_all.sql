UPDATE run
SET state = 'mended'
FROM (
    SELECT job_type, work, max(id) AS id FROM run
    WHERE state = 'succeeded'
      AND (job_type, work) IN (SELECT job_type, work FROM run WHERE state = 'failed')
    GROUP BY job_type, work
) AS success
WHERE run.job_type = success.job_type AND run.work = success.work AND run.state = 'failed' AND run.id < success.id
