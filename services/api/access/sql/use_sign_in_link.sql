-- One use: of two at the same time, the second finds used_at set.
UPDATE access.sign_in_link SET used_at = now()
WHERE hash = $1 AND used_at IS NULL AND expires_at > now()
RETURNING account_id
