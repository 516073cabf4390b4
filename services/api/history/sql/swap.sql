ALTER SCHEMA history_next RENAME TO history
