SELECT * FROM history.run WHERE id = $1
