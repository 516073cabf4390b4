UPDATE access.token SET revoked_at = now() WHERE hash = decode($1, 'hex') AND revoked_at IS NULL RETURNING true
