SELECT count(*) FROM history.parked
