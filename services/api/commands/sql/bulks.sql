SELECT bulk.id, bulk.command, bulk.filter, bulk.account_id, bulk.asked_at, bulk.ended_at,
       stop.account_id AS stopped_by, stop.stopped_at
FROM command.bulk LEFT JOIN command.bulk_stop AS stop ON stop.bulk_id = bulk.id
WHERE ($1::text IS NULL OR bulk.id = $1) AND ($3::timestamptz IS NULL OR bulk.asked_at <= $3)
ORDER BY bulk.asked_at DESC, bulk.id LIMIT $2
