-- $1 now. A period is made only together with its invoices, and only once: `due` names no billed month.
INSERT INTO dining.billing_period (first_day, last_day, total_amount, household_count, cutoff_date, payment_date)
SELECT due.first_day,
       (due.first_day + interval '1 month' - interval '1 day')::date,
       sum(due.amount),
       count(DISTINCT due.household_heynabo_id),
       today.day,
       (date_trunc('month', today.day) + interval '1 month')::date
FROM pg_temp.due
CROSS JOIN (SELECT ($1::timestamptz AT TIME ZONE 'Europe/Copenhagen')::date AS day) today
WHERE due.first_day IS NOT NULL AND due.pbs_id IS NOT NULL
GROUP BY due.first_day, today.day
ORDER BY due.first_day;
