-- $1 now. The PBS number is Heynabo's id, unless another household was given that very number.
INSERT INTO dining.household (heynabo_id, pbs_id, name, address, moved_in_date)
SELECT l.heynabo_id,
       CASE WHEN NOT EXISTS (SELECT FROM dining.household h WHERE h.pbs_id = l.heynabo_id) THEN l.heynabo_id END,
       l.name,
       l.address,
       ($1::timestamptz AT TIME ZONE 'Europe/Copenhagen')::date
FROM pg_temp.incoming_location l
WHERE NOT EXISTS (SELECT FROM dining.household h WHERE h.heynabo_id = l.heynabo_id)
ORDER BY l.heynabo_id
RETURNING heynabo_id, pbs_id;
