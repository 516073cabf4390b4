SELECT sequence, subject, time, problem, excerpt FROM history.parked ORDER BY sequence DESC LIMIT $1
