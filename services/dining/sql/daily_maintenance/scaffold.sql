-- $1 now. Makes the pre-bookings of the active season what people prefer, for the dinners of the next 60 days.
-- One row, or none where no season is active.
WITH season AS (
    SELECT id, short_name FROM dining.season WHERE is_active
),
dinner AS (
    SELECT d.id, local.day, (ARRAY['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY'])
                            [extract(isodow FROM local.day)::integer] AS weekday
    FROM dining.dinner_event d
    JOIN season ON season.id = d.season_id
    CROSS JOIN LATERAL (SELECT (d.starts_at AT TIME ZONE 'Europe/Copenhagen')::date AS day) local
    WHERE d.state IN ('SCHEDULED', 'ANNOUNCED')
      AND d.starts_at >= $1::timestamptz
      AND local.day <= ($1::timestamptz AT TIME ZONE 'Europe/Copenhagen')::date + 60
),
-- What each inhabitant wants of each dinner. Who said no, and who does not live here on that day, wants NONE.
wish AS (
    SELECT i.id AS inhabitant_id,
           i.household_id,
           i.birth_date,
           dinner.id AS dinner_event_id,
           dinner.day,
           CASE
               WHEN dinner.day < h.moved_in_date OR dinner.day > h.move_out_date THEN 'NONE'
               WHEN EXISTS (SELECT FROM dining.dinner_cancellation c
                            WHERE c.dinner_event_id = dinner.id AND c.inhabitant_id = i.id) THEN 'NONE'
               ELSE coalesce(i.dinner_preferences ->> dinner.weekday, 'NONE')
           END AS mode
    FROM dinner
    CROSS JOIN dining.inhabitant i
    JOIN dining.household h ON h.id = i.household_id
),
-- Wishes that have an order already.
met AS (
    SELECT wish.mode, o.id AS order_id
    FROM wish
    JOIN dining.dinner_order o ON o.dinner_event_id = wish.dinner_event_id AND o.inhabitant_id = wish.inhabitant_id
),
-- The ticket with the lowest upper age that the person still fits under; ADULT has none.
missing AS (
    SELECT wish.dinner_event_id, wish.inhabitant_id, wish.mode, ticket.ticket_type, ticket.price
    FROM wish
    LEFT JOIN LATERAL (
        SELECT p.ticket_type, p.price
        FROM season
        JOIN dining.ticket_price p ON p.season_id = season.id
        WHERE p.upper_age IS NULL OR extract(year FROM age(wish.day, wish.birth_date)) <= p.upper_age
        ORDER BY p.upper_age NULLS LAST, p.ticket_type
        LIMIT 1
    ) ticket ON true
    WHERE wish.mode <> 'NONE'
      AND NOT EXISTS (SELECT FROM dining.dinner_order o
                      WHERE o.dinner_event_id = wish.dinner_event_id AND o.inhabitant_id = wish.inhabitant_id)
),
-- What a person booked or released is theirs, whatever they prefer by now.
deleted AS (
    DELETE FROM dining.dinner_order o
    USING met
    WHERE o.id = met.order_id
      AND met.mode = 'NONE'
      AND o.booked_by_system
      AND o.state = 'BOOKED'
    RETURNING o.id
),
created AS (
    INSERT INTO dining.dinner_order
        (dinner_event_id, inhabitant_id, dinner_mode, ticket_type, price_at_booking, booked_by_system)
    SELECT dinner_event_id, inhabitant_id, mode, ticket_type, price, true
    FROM missing
    WHERE ticket_type IS NOT NULL
    ON CONFLICT (dinner_event_id, inhabitant_id) DO NOTHING
    RETURNING id
)
SELECT season.id AS season_id,
       season.short_name,
       (SELECT count(*) FROM created) AS created,
       (SELECT count(*) FROM deleted) AS deleted,
       (SELECT count(*) FROM met WHERE mode <> 'NONE') AS unchanged,
       (SELECT count(DISTINCT household_id) FROM wish) AS households,
       (SELECT count(*) FROM missing WHERE ticket_type IS NULL) AS unpriced
FROM season;
