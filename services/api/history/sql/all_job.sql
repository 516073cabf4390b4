SELECT *, sequence AS age FROM job ORDER BY job_type
