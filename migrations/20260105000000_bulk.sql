-- Work on many runs at once: which runs were meant, and how far it has come. Any API process goes on with it.

-- migrate:up
CREATE TABLE command.bulk (
    id         text        PRIMARY KEY,           -- the correlation id of everything that it does
    command    text        NOT NULL CHECK (command IN ('rerun', 'cancel')),
    filter     text        NOT NULL,              -- the query of a URL
    account_id bigint      NOT NULL,
    asked_at   timestamptz NOT NULL DEFAULT now(),
    worked_at  timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz
);
CREATE INDEX bulk_open ON command.bulk (worked_at) WHERE ended_at IS NULL;
CREATE INDEX bulk_newest ON command.bulk (asked_at DESC);

CREATE TABLE command.bulk_run (
    bulk_id text   NOT NULL,
    run_id  bigint NOT NULL,
    outcome text   NOT NULL,                      -- waiting, done, left
    why     text,                                 -- of what was left: why
    made    bigint,                               -- the rerun
    PRIMARY KEY (bulk_id, run_id)
);
CREATE INDEX bulk_run_waiting ON command.bulk_run (bulk_id, run_id) WHERE outcome = 'waiting';

-- A row of its own: who stops it need not wait for who works on it.
CREATE TABLE command.bulk_stop (
    bulk_id    text        PRIMARY KEY,
    account_id bigint      NOT NULL,
    stopped_at timestamptz NOT NULL DEFAULT now()
);

-- migrate:down
DROP TABLE command.bulk_stop;
DROP TABLE command.bulk_run;
DROP TABLE command.bulk;
