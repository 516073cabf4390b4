-- Periods whose three totals disagree: their own, their invoices', their transactions'. There must be none.
WITH invoiced AS (
    SELECT i.billing_period_id,
           i.amount,
           (SELECT sum(t.amount) FROM dining.order_transaction t WHERE t.invoice_id = i.id) AS linked
    FROM dining.invoice i
)
SELECT p.first_day, p.total_amount, sum(invoiced.amount)::bigint AS invoiced, sum(invoiced.linked)::bigint AS linked
FROM dining.billing_period p
LEFT JOIN invoiced ON invoiced.billing_period_id = p.id
GROUP BY p.id
HAVING sum(invoiced.amount) IS DISTINCT FROM p.total_amount
    OR sum(invoiced.linked) IS DISTINCT FROM p.total_amount
    OR bool_or(invoiced.linked IS DISTINCT FROM invoiced.amount)
ORDER BY p.first_day;
