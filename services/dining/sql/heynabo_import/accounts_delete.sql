-- Accounts of people who are gone, or who are to have none any more.
WITH closing AS (
    SELECT i.user_id
    FROM dining.inhabitant i
    WHERE NOT EXISTS (SELECT FROM pg_temp.present_user p WHERE p.heynabo_id = i.heynabo_id)
       OR EXISTS (SELECT FROM pg_temp.incoming_user u
                  WHERE u.heynabo_id = i.heynabo_id AND u.email IS NULL AND NOT u.email_unclear)
),
deleted AS (
    DELETE FROM dining.app_user a USING closing WHERE a.id = closing.user_id RETURNING a.id
)
SELECT count(*) FROM deleted;
