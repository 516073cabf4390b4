WITH created AS (
    INSERT INTO dining.inhabitant (heynabo_id, household_id, first_name, last_name, picture_url, birth_date)
    SELECT u.heynabo_id, h.id, u.first_name, u.last_name, u.picture_url, u.birth_date
    FROM pg_temp.incoming_user u
    JOIN dining.household h ON h.heynabo_id = u.location_id
    WHERE NOT EXISTS (SELECT FROM dining.inhabitant i WHERE i.heynabo_id = u.heynabo_id)
    ORDER BY u.heynabo_id
    RETURNING id
)
SELECT count(*) FROM created;
