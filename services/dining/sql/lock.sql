-- One number for all steps of all dining jobs; released with the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('kronik.dining', 0));
