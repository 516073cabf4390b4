-- Last, and only where nobody lives any more: whose user record could not be used keeps their home.
WITH deleted AS (
    DELETE FROM dining.household h
    WHERE NOT EXISTS (SELECT FROM pg_temp.present_location p WHERE p.heynabo_id = h.heynabo_id)
      AND NOT EXISTS (SELECT FROM dining.inhabitant i WHERE i.household_id = h.id)
    RETURNING h.id
)
SELECT count(*) FROM deleted;
