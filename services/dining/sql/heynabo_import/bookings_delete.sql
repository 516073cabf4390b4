-- $1 now. Who is gone does not come to dinners that are still to be held.
DELETE FROM dining.dinner_order o
USING dining.dinner_event d, dining.inhabitant i
WHERE d.id = o.dinner_event_id
  AND i.id = o.inhabitant_id
  AND NOT EXISTS (SELECT FROM pg_temp.present_user p WHERE p.heynabo_id = i.heynabo_id)
  AND o.state <> 'CLOSED'
  AND d.state <> 'CONSUMED'
  AND d.starts_at >= $1::timestamptz;
