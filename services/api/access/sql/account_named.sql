SELECT id FROM access.account WHERE name = $1
