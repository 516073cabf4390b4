-- What they ate is still owed: those orders remember who it was.
UPDATE dining.dinner_order o
SET person = s.person
FROM dining.inhabitant i
JOIN dining.person_snapshot s ON s.inhabitant_id = i.id
WHERE i.id = o.inhabitant_id
  AND NOT EXISTS (SELECT FROM pg_temp.present_user p WHERE p.heynabo_id = i.heynabo_id);
