-- Who did not get the account they were to have, because another keeps that email.
SELECT u.heynabo_id
FROM pg_temp.incoming_user u
JOIN dining.inhabitant i ON i.heynabo_id = u.heynabo_id
LEFT JOIN dining.app_user a ON a.id = i.user_id
WHERE u.email IS DISTINCT FROM a.email AND u.email IS NOT NULL
ORDER BY u.heynabo_id;
