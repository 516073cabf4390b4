DELETE FROM command.answer WHERE asked_at < now() - interval '7 days'
