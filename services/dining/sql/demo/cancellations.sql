-- $1 [{"heynabo_id": ..., "starts_at": ...}, ...]: who said no to which dinner
INSERT INTO dining.dinner_cancellation (inhabitant_id, dinner_event_id)
SELECT i.id, d.id
FROM jsonb_to_recordset($1::jsonb) AS c (heynabo_id integer, starts_at timestamptz)
JOIN dining.inhabitant i ON i.heynabo_id = c.heynabo_id
JOIN dining.dinner_event d ON d.starts_at = c.starts_at
ON CONFLICT DO NOTHING;
