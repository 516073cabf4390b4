-- $1 the usable users as a JSON array. email: of the account they are to have; NULL and not unclear: none.
CREATE TEMPORARY TABLE incoming_user ON COMMIT DROP AS
SELECT *
FROM jsonb_to_recordset($1::jsonb) AS person (
    heynabo_id integer, location_id integer, first_name text, last_name text, picture_url text, birth_date date,
    email text, email_unclear boolean, phone text, is_admin boolean
);
