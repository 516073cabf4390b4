SELECT id FROM run WHERE state = 'unsorted' ORDER BY id LIMIT 5000
