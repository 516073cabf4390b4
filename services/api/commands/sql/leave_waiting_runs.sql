UPDATE command.bulk_run SET outcome = 'left', why = 'stopped' WHERE bulk_id = $1 AND outcome = 'waiting'
