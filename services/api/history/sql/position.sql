SELECT sequence, event_id FROM history.checkpoint
