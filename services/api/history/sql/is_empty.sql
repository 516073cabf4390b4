-- Nothing has ever been projected into these tables.
SELECT NOT EXISTS (SELECT FROM history.checkpoint WHERE sequence > 0)
    AND NOT EXISTS (SELECT FROM history.run)
    AND NOT EXISTS (SELECT FROM history.job)
