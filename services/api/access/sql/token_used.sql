UPDATE access.token SET used_at = now(), used_from = $2 WHERE hash = $1
