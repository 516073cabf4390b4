SELECT DISTINCT job_type FROM history.job ORDER BY job_type
