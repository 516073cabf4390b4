-- What was asked of the API and is not told by events: answers that an Idempotency-Key repeats, and work on many runs.
-- Not a projection: a rebuild leaves it alone. What such work did to runs stands in the stream as ever.

-- migrate:up
CREATE SCHEMA command;

CREATE TABLE command.answer (
    account_id bigint      NOT NULL,
    key        text        NOT NULL,
    request    bytea       NOT NULL,              -- SHA-256 of method, path, query and body
    status     smallint,                          -- NULL: it is being worked on
    body       bytea,
    asked_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key)
);
CREATE INDEX answer_age ON command.answer (asked_at);

-- migrate:down
DROP SCHEMA command CASCADE;
