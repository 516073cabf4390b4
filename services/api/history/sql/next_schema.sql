-- What an interrupted rebuild left behind goes.
DROP SCHEMA IF EXISTS history_next CASCADE;
CREATE SCHEMA history_next;
