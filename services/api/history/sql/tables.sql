-- The tables of the read model, in the schema that the search path names. The migration says the same.

CREATE TABLE run (
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

CREATE TABLE job (                     -- the newest definition of each job type
    job_type        text   NOT NULL,
    sequence        bigint NOT NULL,
    definition_json text   NOT NULL
);

CREATE TABLE schedule (                -- the newest change of each job's schedule
    job_type    text        NOT NULL,
    sequence    bigint      NOT NULL,
    changed_at  timestamptz NOT NULL,
    change_json text        NOT NULL
);

CREATE TABLE slot (                    -- every due slot that did not become a run, and why
    sequence      bigint      NOT NULL,
    job_type      text        NOT NULL,
    scheduled_for timestamptz NOT NULL,
    outcome       text        NOT NULL,
    reason        text        NOT NULL,
    recorded_at   timestamptz NOT NULL
);

CREATE TABLE parked (                  -- messages that can't be projected
    sequence bigint      NOT NULL,
    subject  text        NOT NULL,
    time     timestamptz NOT NULL,
    problem  text        NOT NULL,
    excerpt  text        NOT NULL
);

CREATE TABLE idempotency (             -- triggers that were sent with an Idempotency-Key
    event_id text   NOT NULL,
    run_id   bigint NOT NULL
);

CREATE TABLE checkpoint (              -- one row: the last event that is in these tables
    single   boolean NOT NULL DEFAULT true CHECK (single),
    sequence bigint  NOT NULL,
    event_id text    NOT NULL
);
