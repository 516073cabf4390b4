-- $1, $2 as for the locations.
CREATE TEMPORARY TABLE present_user ON COMMIT DROP AS
SELECT unnest($1::integer[]) AS heynabo_id
UNION
SELECT heynabo_id FROM dining.inhabitant WHERE NOT $2::boolean;
