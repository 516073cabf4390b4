SELECT sequence, event_id FROM checkpoint
