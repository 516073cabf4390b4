SELECT *, sequence AS age FROM parked ORDER BY sequence
