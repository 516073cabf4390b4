-- $1 now. A released place that nobody took was still cooked for; a cancelled one was not.
WITH closed AS (
    UPDATE dining.dinner_order o
    SET state = 'CLOSED', closed_at = $1::timestamptz
    FROM dining.dinner_event d
    WHERE d.id = o.dinner_event_id
      AND d.state = 'CONSUMED'
      AND o.state IN ('BOOKED', 'RELEASED')
    RETURNING o.id
)
SELECT count(*) FROM closed;
