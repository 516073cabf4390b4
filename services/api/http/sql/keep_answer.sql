UPDATE command.answer SET status = $3, body = $4 WHERE account_id = $1 AND key = $2
