SELECT *, sequence AS age FROM schedule ORDER BY job_type
