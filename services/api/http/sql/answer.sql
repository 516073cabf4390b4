SELECT request, status, body FROM command.answer WHERE account_id = $1 AND key = $2
