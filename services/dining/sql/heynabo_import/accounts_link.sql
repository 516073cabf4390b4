-- Gives people without an account the one with their email, if it is nobody's.
UPDATE dining.inhabitant i
SET user_id = a.id
FROM pg_temp.incoming_user u
JOIN dining.app_user a ON a.email = u.email
WHERE i.heynabo_id = u.heynabo_id
  AND i.user_id IS NULL
  AND NOT EXISTS (SELECT FROM dining.inhabitant holder WHERE holder.user_id = a.id);
