SELECT EXISTS (SELECT FROM history.run WHERE job_type = $1)
