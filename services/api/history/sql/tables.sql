-- What is not made of single events: how many runs there are, and where the read model stands.

CREATE TABLE tally (                   -- runs by quarter of an hour, job and state; at -infinity, those of all time
    quarter  timestamptz NOT NULL,
    job_type text        NOT NULL,
    state    text        NOT NULL,
    count    bigint      NOT NULL
);

CREATE TABLE checkpoint (              -- one row: the last event that is in these tables
    single   boolean NOT NULL DEFAULT true CHECK (single),
    sequence bigint  NOT NULL,
    event_id text    NOT NULL,
    model    text                      -- the version of the read model that these tables have
);
