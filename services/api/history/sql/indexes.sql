-- Indexes, each for one question at millions of runs; apart from the tables, because a rebuild fills those first.

-- What was asked for by the mission; the newest run of a job by its start.
CREATE INDEX IF NOT EXISTS run_job_type_started_at ON run (job_type, started_at);
-- Every filter by job, status, phase, open and unresolved: the groups that match are merged by id.
CREATE INDEX IF NOT EXISTS run_group ON run (job_type, state, id);
-- The same for who asked.
CREATE INDEX IF NOT EXISTS run_who ON run (triggered_by, job_type, state, id);
-- Runs of a job with the same params: was a failure made good?
CREATE INDEX IF NOT EXISTS run_work ON run (job_type, work, state, id);
-- from, to and asOf.
CREATE INDEX IF NOT EXISTS run_asked ON run (triggered_at, id);
CREATE INDEX IF NOT EXISTS run_correlation ON run (correlation_id, state, id) WHERE correlation_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS run_rerun_of ON run (rerun_of, id) WHERE rerun_of IS NOT NULL;
-- Runs that were open at a moment of the past and that began long before it.
CREATE INDEX IF NOT EXISTS run_long ON run (completed_at, id) WHERE completed_at - triggered_at > interval '1 hour';
-- Text that most errors have: from the newest on.
CREATE INDEX IF NOT EXISTS run_with_error ON run (id) WHERE error_message IS NOT NULL;
CREATE INDEX IF NOT EXISTS slot_newest ON slot (job_type, scheduled_for DESC, sequence DESC);

-- Text in errors. A Postgres without pg_trgm answers all the same, only not in time where errors are many.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;
    CREATE INDEX IF NOT EXISTS run_error ON run USING gin (error_message public.gin_trgm_ops)
        WHERE error_message IS NOT NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'errors have no index of their own: %', SQLERRM;
END $$;
