-- Every API process, when the transaction commits: the work begins at once.
SELECT pg_notify('bulk', '')
