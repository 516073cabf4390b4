-- Newest first. The pool plans every call by its arguments (plan_cache_mode), so an absent filter costs nothing.
SELECT *
FROM history.run
WHERE ($1::text IS NULL OR job_type = $1)
  AND ($2::text IS NULL OR status = $2)
  AND ($3::text IS NULL OR triggered_by = $3)
  AND ($4::timestamptz IS NULL OR (started_at, id) < ($4, $5::bigint))
ORDER BY started_at DESC, id DESC
LIMIT $6
