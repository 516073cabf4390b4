-- Everybody who ever asked for a run: from name to name along run_who, however many runs each has.
WITH RECURSIVE asker AS (
    SELECT min(triggered_by) AS name FROM history.run
    UNION ALL
    SELECT (SELECT min(triggered_by) FROM history.run WHERE triggered_by > asker.name) FROM asker WHERE name IS NOT NULL
)
SELECT name FROM asker WHERE name IS NOT NULL LIMIT $1
