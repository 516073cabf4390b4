-- $1 [{"heynabo_id": ..., "preferences": {...}}, ...]
UPDATE dining.inhabitant i
SET dinner_preferences = p.preferences
FROM jsonb_to_recordset($1::jsonb) AS p (heynabo_id integer, preferences jsonb)
WHERE i.heynabo_id = p.heynabo_id;
