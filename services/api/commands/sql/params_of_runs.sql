SELECT id, job_type, params_json FROM history.run WHERE id = ANY($1::bigint[])
