SELECT sequence, event_id, model FROM checkpoint
