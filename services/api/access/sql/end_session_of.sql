DELETE FROM access.session WHERE hash = decode($1, 'hex') AND expires_at > now() RETURNING true
