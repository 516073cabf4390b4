-- What a leaving household owes is billed with the PBS number and address that it has now.
UPDATE dining.order_transaction t
SET snapshot = jsonb_set(t.snapshot, '{person,household}', s.household)
FROM dining.household_snapshot s
WHERE t.household_heynabo_id = s.heynabo_id
  AND t.invoice_id IS NULL
  AND NOT EXISTS (SELECT FROM pg_temp.present_location p WHERE p.heynabo_id = s.heynabo_id);
