-- $1 the usable locations as a JSON array.
CREATE TEMPORARY TABLE incoming_location ON COMMIT DROP AS
SELECT * FROM jsonb_to_recordset($1::jsonb) AS location (heynabo_id integer, name text, address text);
