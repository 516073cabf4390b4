-- Successes by job and work, each with the latest id ($1 to $3): what failed before them is made good.
UPDATE run
SET state = 'mended'
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS success (job_type, work, id)
WHERE run.job_type = success.job_type AND run.work = success.work AND run.state = 'failed' AND run.id < success.id
