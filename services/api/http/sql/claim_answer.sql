-- A claim without an answer is from a process that died on the way; after a minute somebody else may take it over.
INSERT INTO command.answer AS answer (account_id, key, request) VALUES ($1, $2, $3)
ON CONFLICT (account_id, key) DO UPDATE SET asked_at = now()
    WHERE answer.status IS NULL AND answer.asked_at < now() - interval '1 minute' AND answer.request = excluded.request
RETURNING true
