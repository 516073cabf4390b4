SELECT pg_notify('history', $1)
