-- $1 the ids of all locations in the answer, readable or not. $2 whether every one of them told its id: if one did
-- not, it could be any of ours, and so all of ours count as present.
CREATE TEMPORARY TABLE present_location ON COMMIT DROP AS
SELECT unnest($1::integer[]) AS heynabo_id
UNION
SELECT heynabo_id FROM dining.household WHERE NOT $2::boolean;
