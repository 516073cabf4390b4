SELECT triggered_at FROM history.run WHERE id <= $1 ORDER BY id DESC LIMIT 1
