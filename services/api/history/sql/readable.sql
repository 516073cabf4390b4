SELECT 1 FROM history.run LIMIT 1
