-- What is being rebuilt or verified, by which process ever: asked about and stopped through these rows.

-- migrate:up
CREATE SCHEMA replay;

CREATE TABLE replay.work (
    kind     text        PRIMARY KEY,      -- rebuild, verify
    id       text        NOT NULL,         -- another one each time
    by       text        NOT NULL,         -- who asked: ADMIN:<account>, or Kronik itself
    ask      boolean     NOT NULL,         -- a rebuild that waits for a word before it swaps
    begun_at timestamptz NOT NULL DEFAULT now(),
    seen_at  timestamptz NOT NULL DEFAULT now(),  -- its process lives
    ended_at timestamptz,
    phase    text        NOT NULL DEFAULT 'starting',
    position bigint      NOT NULL DEFAULT 0,
    total    bigint      NOT NULL DEFAULT 0,
    wish     text,                         -- swap, cancel
    diff     text,                         -- JSON: what the swap would change
    report   text,                         -- JSON: what came of it
    problem  text                          -- why nothing came of it
);

-- migrate:down
DROP SCHEMA replay CASCADE;
