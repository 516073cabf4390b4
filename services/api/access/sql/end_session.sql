DELETE FROM access.session WHERE hash = $1 OR expires_at < now()
