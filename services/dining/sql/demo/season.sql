-- $1 name, $2 first and $3 last day
WITH season AS (
    INSERT INTO dining.season (short_name, first_day, last_day, cooking_days, is_active)
    VALUES ($1, $2, $3, ARRAY['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY'], true)
    RETURNING id
),
prices AS (
    INSERT INTO dining.ticket_price (season_id, ticket_type, price, upper_age)
    SELECT season.id, price.*
    FROM season, (VALUES ('ADULT', 4250, NULL), ('CHILD', 2125, 12), ('BABY', 0, 1)) AS price
)
SELECT id FROM season;
