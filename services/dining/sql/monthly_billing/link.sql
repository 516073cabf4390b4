UPDATE dining.order_transaction t
SET invoice_id = i.id
FROM pg_temp.due
JOIN dining.billing_period p ON p.first_day = due.first_day
JOIN dining.invoice i ON i.billing_period_id = p.id AND i.household_heynabo_id = due.household_heynabo_id
WHERE t.id = due.transaction_id
  AND t.invoice_id IS NULL;
