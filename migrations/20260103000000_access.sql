-- Who may do what: people and programs. Not a projection: this is the one thing Kronik keeps outside the stream.
--
-- Of every secret only its SHA-256 is kept. The secrets are 32 random bytes, so a slow hash would add nothing.

-- migrate:up
CREATE SCHEMA access;

CREATE TABLE access.account (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL UNIQUE CHECK (name <> ''),
    role       text        NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE access.session (
    hash       bytea       PRIMARY KEY,
    account_id bigint      NOT NULL REFERENCES access.account ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE TABLE access.token (
    hash       bytea       PRIMARY KEY,
    account_id bigint      NOT NULL REFERENCES access.account ON DELETE CASCADE,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE access.sign_in_link (
    hash       bytea       PRIMARY KEY,
    account_id bigint      NOT NULL REFERENCES access.account ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);

CREATE INDEX session_account ON access.session (account_id);
CREATE INDEX token_account ON access.token (account_id);

-- migrate:down
DROP SCHEMA access CASCADE;
