-- Counts are kept, not taken: each statement that writes runs moves them, in its own transaction.

CREATE OR REPLACE FUNCTION tally_up() RETURNS trigger LANGUAGE plpgsql AS $tally$
DECLARE
    moved text := CASE TG_OP
        WHEN 'INSERT' THEN 'SELECT triggered_at, job_type, state, 1 AS n FROM written'
        WHEN 'DELETE' THEN 'SELECT triggered_at, job_type, state, -1 AS n FROM gone'
        ELSE 'SELECT triggered_at, job_type, state, 1 AS n FROM written'
            ' UNION ALL SELECT triggered_at, job_type, state, -1 FROM gone'
    END;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        EXECUTE format('TRUNCATE %I.tally', TG_TABLE_SCHEMA);
        RETURN NULL;
    END IF;
    -- The schema is named by the trigger, since a rebuild renames it.
    EXECUTE format(
        'INSERT INTO %I.tally AS tally (quarter, job_type, state, count)'
        ' SELECT coalesce(quarter, ''-infinity''), job_type, state, sum(n) FROM'
        ' (SELECT date_bin(''15 minutes'', triggered_at, ''epoch''), job_type, state, n FROM (%s) AS moved)'
        ' AS binned (quarter, job_type, state, n)'
        ' GROUP BY GROUPING SETS ((quarter, job_type, state), (job_type, state)) HAVING sum(n) <> 0'
        ' ON CONFLICT (quarter, job_type, state) DO UPDATE SET count = tally.count + excluded.count',
        TG_TABLE_SCHEMA, moved
    );
    RETURN NULL;
END $tally$;

CREATE OR REPLACE TRIGGER tally_written AFTER INSERT ON run REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION tally_up();
CREATE OR REPLACE TRIGGER tally_changed AFTER UPDATE ON run REFERENCING NEW TABLE AS written OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION tally_up();
CREATE OR REPLACE TRIGGER tally_deleted AFTER DELETE ON run REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION tally_up();
CREATE OR REPLACE TRIGGER tally_truncated AFTER TRUNCATE ON run FOR EACH STATEMENT EXECUTE FUNCTION tally_up();
