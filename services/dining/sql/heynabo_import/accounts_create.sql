WITH created AS (
    INSERT INTO dining.app_user (email, phone, system_roles)
    SELECT u.email, u.phone, CASE WHEN u.is_admin THEN ARRAY['ADMIN'] ELSE '{}' END
    FROM pg_temp.incoming_user u
    JOIN dining.inhabitant i ON i.heynabo_id = u.heynabo_id
    WHERE i.user_id IS NULL
      AND u.email IS NOT NULL
      AND NOT EXISTS (SELECT FROM dining.app_user a WHERE a.email = u.email)
    ORDER BY u.heynabo_id
    RETURNING id
)
SELECT count(*) FROM created;
