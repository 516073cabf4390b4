-- Kept until the next rebuild.
ALTER SCHEMA history RENAME TO history_old
