-- $1 now. A cancelled dinner stays cancelled, whenever it was to be.
WITH consumed AS (
    UPDATE dining.dinner_event d
    SET state = 'CONSUMED'
    FROM dining.season s
    WHERE s.id = d.season_id
      AND s.is_active
      AND d.state IN ('SCHEDULED', 'ANNOUNCED')
      AND d.starts_at < $1::timestamptz
    RETURNING d.id
)
SELECT count(*) FROM consumed;
