SELECT id, name FROM access.account WHERE id = ANY($1::bigint[])
