-- Before the new ones are made. PBS number and dates are ours and stay.
WITH met AS (
    SELECT h.id, l.name, l.address, (h.name, h.address) IS DISTINCT FROM (l.name, l.address) AS is_changed
    FROM dining.household h
    JOIN pg_temp.incoming_location l ON l.heynabo_id = h.heynabo_id
),
updated AS (
    UPDATE dining.household h
    SET name = met.name, address = met.address
    FROM met
    WHERE h.id = met.id AND met.is_changed
    RETURNING h.id
)
SELECT (SELECT count(*) FROM updated) AS updated,
       (SELECT count(*) FROM met WHERE NOT is_changed) AS unchanged;
