SELECT id, name FROM access.account
