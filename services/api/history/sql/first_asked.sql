SELECT triggered_at FROM history.run ORDER BY id LIMIT 1
