-- What the tables of earlier versions lack beside columns of runs.
CREATE TABLE IF NOT EXISTS param (term bigint NOT NULL, run_id bigint NOT NULL, PRIMARY KEY (term, run_id));
CREATE TABLE IF NOT EXISTS tally (
    quarter  timestamptz NOT NULL,
    job_type text        NOT NULL,
    state    text        NOT NULL,
    count    bigint      NOT NULL,
    PRIMARY KEY (quarter, job_type, state)
);
ALTER TABLE checkpoint ADD COLUMN IF NOT EXISTS model text;
ALTER TABLE job DROP CONSTRAINT IF EXISTS job_pkey, ADD CONSTRAINT job_pkey PRIMARY KEY (job_type, sequence);
ALTER TABLE schedule
    DROP CONSTRAINT IF EXISTS schedule_pkey, ADD CONSTRAINT schedule_pkey PRIMARY KEY (job_type, sequence);
