-- Accounts follow their person's email, phone and ADMIN; a role given here stays. People may swap emails or take
-- over one that another gives up in this very import. But an email stays with an account that keeps it, so who
-- wants that one is blocked, and who wants a blocked one's email is blocked in turn.
WITH RECURSIVE wish AS (
    SELECT a.id AS user_id, u.email, u.phone,
           CASE
               WHEN u.is_admin = ('ADMIN' = ANY (a.system_roles)) THEN a.system_roles
               WHEN u.is_admin THEN a.system_roles || 'ADMIN'::text
               ELSE array_remove(a.system_roles, 'ADMIN')
           END AS system_roles
    FROM pg_temp.incoming_user u
    JOIN dining.inhabitant i ON i.heynabo_id = u.heynabo_id
    JOIN dining.app_user a ON a.id = i.user_id
    WHERE u.email IS NOT NULL
),
blocked AS (
    SELECT wish.user_id
    FROM wish
    JOIN dining.app_user holder ON holder.email = wish.email AND holder.id <> wish.user_id
    WHERE NOT EXISTS (SELECT FROM wish other WHERE other.user_id = holder.id)
    UNION
    SELECT wish.user_id
    FROM blocked
    JOIN dining.app_user holder ON holder.id = blocked.user_id
    JOIN wish ON wish.email = holder.email AND wish.user_id <> holder.id
),
granted AS (
    SELECT a.id, CASE WHEN blocked.user_id IS NULL THEN wish.email ELSE a.email END AS email, wish.phone, wish.system_roles
    FROM wish
    JOIN dining.app_user a ON a.id = wish.user_id
    LEFT JOIN blocked ON blocked.user_id = wish.user_id
),
updated AS (
    UPDATE dining.app_user a
    SET email = granted.email, phone = granted.phone, system_roles = granted.system_roles
    FROM granted
    WHERE a.id = granted.id
      AND (a.email, a.phone, a.system_roles) IS DISTINCT FROM (granted.email, granted.phone, granted.system_roles)
    RETURNING a.id
)
SELECT count(*) FROM updated;
