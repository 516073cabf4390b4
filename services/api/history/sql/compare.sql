-- How the runs as folded afresh differ from those that have been served.
SELECT
    count(*) FILTER (WHERE live.id IS NULL) AS added,
    count(*) FILTER (WHERE next.id IS NULL) AS removed,
    count(*) FILTER (WHERE live.id = next.id) AS changed
FROM history.run AS live FULL JOIN history_next.run AS next USING (id)
WHERE row(live.*) IS DISTINCT FROM row(next.*)
