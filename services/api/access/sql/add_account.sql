INSERT INTO access.account (name, role) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET role = excluded.role
RETURNING id
