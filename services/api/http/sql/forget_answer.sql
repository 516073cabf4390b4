DELETE FROM command.answer WHERE account_id = $1 AND key = $2 AND status IS NULL
