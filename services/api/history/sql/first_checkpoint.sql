-- After a TRUNCATE the read model begins again at the first event.
INSERT INTO checkpoint (sequence, event_id) VALUES (0, '') ON CONFLICT DO NOTHING
