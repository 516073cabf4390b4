SELECT * FROM run WHERE id = any($1::bigint[])
