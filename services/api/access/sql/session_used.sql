UPDATE access.session SET used_at = now(), address = $2 WHERE hash = $1
