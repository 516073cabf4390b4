SELECT true FROM access.sign_in_link WHERE hash = $1 AND used_at IS NULL AND expires_at > now()
