-- $1 now. Who has left since the dinner is known from the order's own snapshot.
WITH created AS (
    INSERT INTO dining.order_transaction (order_id, household_heynabo_id, amount, snapshot, created_at)
    SELECT o.id,
           (who.person #>> '{household,heynaboId}')::integer,
           o.price_at_booking,
           jsonb_build_object(
               'order', jsonb_build_object(
                   'id', o.id,
                   'dinnerMode', o.dinner_mode,
                   'ticketType', o.ticket_type,
                   'priceAtBooking', o.price_at_booking,
                   'bookedBySystem', o.booked_by_system,
                   'closedAt', o.closed_at
               ),
               'dinner', jsonb_build_object('id', d.id, 'startsAt', d.starts_at, 'menuTitle', d.menu_title),
               'person', who.person
           ),
           $1::timestamptz
    FROM dining.dinner_order o
    JOIN dining.dinner_event d ON d.id = o.dinner_event_id
    LEFT JOIN dining.person_snapshot p ON p.inhabitant_id = o.inhabitant_id
    CROSS JOIN LATERAL (SELECT coalesce(p.person, o.person) AS person) who
    WHERE o.state = 'CLOSED'
      AND NOT EXISTS (SELECT FROM dining.order_transaction t WHERE t.order_id = o.id)
    ON CONFLICT (order_id) DO NOTHING
    RETURNING id
)
SELECT count(*) FROM created;
