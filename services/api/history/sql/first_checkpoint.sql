-- After a TRUNCATE the read model begins again at the first event.
INSERT INTO checkpoint (sequence, event_id, model) VALUES (0, '', $1) ON CONFLICT DO NOTHING
