SELECT *, sequence AS age FROM slot ORDER BY sequence
