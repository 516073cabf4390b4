-- Each in its turn; who works on one holds its row until what was done is written down.
SELECT bulk.id, bulk.command, bulk.account_id,
       EXISTS (SELECT FROM command.bulk_stop AS stop WHERE stop.bulk_id = bulk.id) AS stopped
FROM command.bulk WHERE ended_at IS NULL ORDER BY worked_at LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED
