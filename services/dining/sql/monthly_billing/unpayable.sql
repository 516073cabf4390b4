-- Households that nothing can be collected from.
SELECT name, household_heynabo_id, count(*) AS transactions, sum(amount)::bigint AS amount
FROM pg_temp.due
WHERE pbs_id IS NULL
GROUP BY name, household_heynabo_id
ORDER BY name, household_heynabo_id;
