-- The read model: what the stream says, as rows for people, the API and the panel.
--
-- Everything here is a projection of the stream JOBS and can be thrown away: `kronik rebuild` makes it again, from
-- services/api/history/sql/{tables,indexes}.sql, which say the same as this file (a test compares them).
-- Texts that end in _json, and result_summary, hold JSON as it was written; they are text because jsonb
-- refuses NUL and would reorder what an author wrote.

-- migrate:up
CREATE SCHEMA history;

CREATE TABLE history.run (
    id                  bigint      NOT NULL,  -- the trigger's sequence in the stream
    job_type            text        NOT NULL,
    status              text        NOT NULL,  -- RUNNING SUCCESS PARTIAL FAILED
    started_at          timestamptz NOT NULL,  -- the trigger's time until an attempt has started
    completed_at        timestamptz,
    duration_ms         bigint,
    result_summary      text,
    error_message       text,
    triggered_by        text        NOT NULL,  -- CRON, ADMIN:<account>, SERVICE:<name>
    phase               text        NOT NULL,  -- queued executing retrying finished
    attempt             bigint      NOT NULL,
    failures            bigint      NOT NULL,
    triggered_at        timestamptz NOT NULL,
    attempt_at          timestamptz,
    retry_at            timestamptz,
    scheduled_for       timestamptz,
    rerun_of            bigint,
    params_json         text        NOT NULL,
    warnings_json       text        NOT NULL,
    warning_count       bigint      NOT NULL,
    cancel_requested_by text,
    cancelled_by        text,
    origin              text        NOT NULL,
    problem             text,                  -- why a malformed trigger can't run
    version             bigint      NOT NULL,  -- the sequence of the run's latest event
    token               bigint      NOT NULL,  -- the sequence of its latest start
    incarnation         text,
    timeout_ms          bigint      NOT NULL,
    ignored             bigint      NOT NULL   -- events that came after the end; 0 unless something is wrong
);

CREATE TABLE history.job (                     -- the newest definition of each job type
    job_type        text   NOT NULL,
    sequence        bigint NOT NULL,
    definition_json text   NOT NULL
);

CREATE TABLE history.schedule (                -- the newest change of each job's schedule
    job_type    text        NOT NULL,
    sequence    bigint      NOT NULL,
    changed_at  timestamptz NOT NULL,
    change_json text        NOT NULL
);

CREATE TABLE history.slot (                    -- every due slot that did not become a run, and why
    sequence      bigint      NOT NULL,
    job_type      text        NOT NULL,
    scheduled_for timestamptz NOT NULL,
    outcome       text        NOT NULL,
    reason        text        NOT NULL,
    recorded_at   timestamptz NOT NULL
);

CREATE TABLE history.parked (                  -- messages that can't be projected
    sequence bigint      NOT NULL,
    subject  text        NOT NULL,
    time     timestamptz NOT NULL,
    problem  text        NOT NULL,
    excerpt  text        NOT NULL
);

CREATE TABLE history.idempotency (             -- triggers that were sent with an Idempotency-Key
    event_id text   NOT NULL,
    run_id   bigint NOT NULL
);

CREATE TABLE history.checkpoint (              -- one row: the last event that is in these tables
    single   boolean NOT NULL DEFAULT true CHECK (single),
    sequence bigint  NOT NULL,
    event_id text    NOT NULL
);

ALTER TABLE history.run ADD CONSTRAINT run_pkey PRIMARY KEY (id);
CREATE INDEX run_job_type_started_at ON history.run (job_type, started_at);
CREATE INDEX run_newest ON history.run (started_at DESC, id DESC);
CREATE INDEX run_open ON history.run (job_type, id) WHERE phase <> 'finished';
CREATE INDEX run_troubled ON history.run (status, started_at DESC, id DESC) WHERE status IN ('PARTIAL', 'FAILED');
ALTER TABLE history.job ADD CONSTRAINT job_pkey PRIMARY KEY (job_type);
ALTER TABLE history.schedule ADD CONSTRAINT schedule_pkey PRIMARY KEY (job_type);
ALTER TABLE history.slot ADD CONSTRAINT slot_pkey PRIMARY KEY (sequence);
CREATE INDEX slot_newest ON history.slot (job_type, scheduled_for DESC, sequence DESC);
ALTER TABLE history.parked ADD CONSTRAINT parked_pkey PRIMARY KEY (sequence);
ALTER TABLE history.idempotency ADD CONSTRAINT idempotency_pkey PRIMARY KEY (event_id);
ALTER TABLE history.checkpoint ADD CONSTRAINT checkpoint_pkey PRIMARY KEY (single);
INSERT INTO history.checkpoint (sequence, event_id) VALUES (0, '');

-- migrate:down
DROP SCHEMA history CASCADE;
DROP SCHEMA IF EXISTS history_next CASCADE;
DROP SCHEMA IF EXISTS history_old CASCADE;
