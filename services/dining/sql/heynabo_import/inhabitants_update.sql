-- Before the new ones are made. A birth date that we know is not lost to one that is missing: prices hang on it.
WITH met AS (
    SELECT i.id, h.id AS household_id, u.first_name, u.last_name, u.picture_url,
           coalesce(u.birth_date, i.birth_date) AS birth_date,
           (i.household_id, i.first_name, i.last_name, i.picture_url, i.birth_date) IS DISTINCT FROM
           (h.id, u.first_name, u.last_name, u.picture_url, coalesce(u.birth_date, i.birth_date)) AS is_changed
    FROM pg_temp.incoming_user u
    JOIN dining.inhabitant i ON i.heynabo_id = u.heynabo_id
    JOIN dining.household h ON h.heynabo_id = u.location_id
),
updated AS (
    UPDATE dining.inhabitant i
    SET household_id = met.household_id,
        first_name = met.first_name,
        last_name = met.last_name,
        picture_url = met.picture_url,
        birth_date = met.birth_date
    FROM met
    WHERE i.id = met.id AND met.is_changed
    RETURNING i.id
)
SELECT (SELECT count(*) FROM updated) AS updated,
       (SELECT count(*) FROM met WHERE NOT is_changed) AS unchanged;
