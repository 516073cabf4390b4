-- The session, and that somebody signed in: that stays when the session is over, for a year.
WITH session AS (
    INSERT INTO access.session (hash, account_id, expires_at, address, agent, used_at)
    VALUES ($1, $2, now() + $3::interval, $4, $5, now())
),
forgotten AS (
    DELETE FROM access.sign_in WHERE signed_in_at < now() - interval '1 year'
)
INSERT INTO access.sign_in (account_id, address, agent) VALUES ($2, $4, $5)
