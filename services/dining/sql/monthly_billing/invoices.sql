WITH made AS (
    INSERT INTO dining.invoice
        (billing_period_id, household_id, household_heynabo_id, amount, pbs_id, name, address)
    SELECT p.id, due.household_id, due.household_heynabo_id, sum(due.amount), due.pbs_id, due.name, due.address
    FROM pg_temp.due
    JOIN dining.billing_period p ON p.first_day = due.first_day
    WHERE due.pbs_id IS NOT NULL
    GROUP BY p.id, due.household_id, due.household_heynabo_id, due.pbs_id, due.name, due.address
    ORDER BY p.id, due.household_heynabo_id
    RETURNING amount
)
SELECT count(*) AS invoices_generated, coalesce(sum(amount), 0)::bigint AS total_amount FROM made;
