-- Who signed in, and when what lets somebody in was last used: for the journal and the page of who has access.

-- migrate:up
CREATE TABLE access.sign_in (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint      NOT NULL REFERENCES access.account ON DELETE CASCADE,
    signed_in_at timestamptz NOT NULL DEFAULT now(),
    address      text        NOT NULL,
    agent        text        NOT NULL
);

ALTER TABLE access.session
    ADD COLUMN address text NOT NULL DEFAULT '',
    ADD COLUMN agent   text NOT NULL DEFAULT '',
    ADD COLUMN used_at timestamptz;

ALTER TABLE access.token
    ADD COLUMN used_at   timestamptz,
    ADD COLUMN used_from text NOT NULL DEFAULT '';

-- migrate:down
DROP TABLE access.sign_in;
ALTER TABLE access.session DROP COLUMN address, DROP COLUMN agent, DROP COLUMN used_at;
ALTER TABLE access.token DROP COLUMN used_at, DROP COLUMN used_from;
