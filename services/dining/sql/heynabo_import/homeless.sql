-- Users whose location is none of ours, or gone: they are left as they are.
DELETE FROM pg_temp.incoming_user u
WHERE NOT EXISTS (
    SELECT
    FROM dining.household h
    JOIN pg_temp.present_location p ON p.heynabo_id = h.heynabo_id
    WHERE h.heynabo_id = u.location_id
)
RETURNING u.heynabo_id, u.location_id;
