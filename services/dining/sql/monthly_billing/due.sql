-- $1 now. Everything that is owed for months that are over, with who pays it and the month that bills it.
--
-- first_day: the first month, from the transaction's own on, that is over and was not billed yet. For most that is
-- their own month. A late transaction of a billed month goes on the next one's invoice; while that is not over, or
-- was billed too, it waits (NULL).
-- pbs_id, name, address: the household's now, or, when it is gone from Heynabo, the last that were known.
CREATE TEMPORARY TABLE due ON COMMIT DROP AS
WITH this_month AS (
    SELECT date_trunc('month', $1::timestamptz AT TIME ZONE 'Europe/Copenhagen') AS first_day
),
unbilled AS (
    SELECT t.id AS transaction_id,
           t.amount,
           t.household_heynabo_id,
           t.snapshot,
           date_trunc('month', d.starts_at AT TIME ZONE 'Europe/Copenhagen') AS own_month
    FROM dining.order_transaction t
    JOIN dining.dinner_order o ON o.id = t.order_id
    JOIN dining.dinner_event d ON d.id = o.dinner_event_id
    WHERE t.invoice_id IS NULL
),
billed_in AS (
    SELECT own.month AS own_month, min(candidate.month)::date AS first_day
    FROM this_month
    CROSS JOIN (SELECT DISTINCT own_month AS month FROM unbilled) own
    CROSS JOIN LATERAL generate_series(own.month, this_month.first_day - interval '1 month', interval '1 month')
        AS candidate (month)
    WHERE NOT EXISTS (SELECT FROM dining.billing_period p WHERE p.first_day = candidate.month::date)
    GROUP BY own.month
),
payer AS (
    SELECT DISTINCT ON (unbilled.household_heynabo_id)
           unbilled.household_heynabo_id,
           h.id AS household_id,
           CASE WHEN h.id IS NULL THEN (last.known ->> 'pbsId')::integer ELSE h.pbs_id END AS pbs_id,
           coalesce(h.name, last.known ->> 'name') AS name,
           coalesce(h.address, last.known ->> 'address') AS address
    FROM unbilled
    LEFT JOIN dining.household h ON h.heynabo_id = unbilled.household_heynabo_id
    CROSS JOIN LATERAL (SELECT unbilled.snapshot #> '{person,household}' AS known) last
    ORDER BY unbilled.household_heynabo_id, unbilled.transaction_id DESC
)
SELECT unbilled.transaction_id, unbilled.amount, billed_in.first_day, payer.*
FROM this_month
CROSS JOIN unbilled
LEFT JOIN billed_in USING (own_month)
JOIN payer USING (household_heynabo_id)
WHERE unbilled.own_month < this_month.first_day;
