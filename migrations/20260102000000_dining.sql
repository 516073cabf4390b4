-- The dining community that the first three jobs work on: people, dinners, orders, money.
--
-- Amounts are øre. Instants are timestamptz; what day or month an instant belongs to is asked in
-- Europe/Copenhagen, by the queries. Weekdays are MONDAY ... SUNDAY.
--
-- People leave, money stays. Heynabo owns who lives here, and an import really deletes who is gone.
-- What they ate before that is still owed, so rows about money never hang on a person's or a household's row:
--
--   inhabitant deleted  its account (app_user) goes first; cancellations go with it; orders for dinners
--                       still to come are deleted by the import; every other order keeps `person`, a
--                       snapshot taken just before, and loses inhabitant_id. An order without either is
--                       refused by a CHECK, so no careless DELETE can orphan a debt.
--   household deleted   only when nobody lives in it any more (RESTRICT). Transactions name their household
--                       by heynabo_id, which is no foreign key: the unbilled ones are still billed, with the
--                       PBS number and address that their snapshot got just before, or with the household's
--                       own when it comes back. Invoices carry frozen payment data and lose household_id.
--   order with a transaction, transaction with an invoice: never deleted (RESTRICT).

-- migrate:up
CREATE SCHEMA dining;

CREATE TABLE dining.household (
    id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    heynabo_id    integer NOT NULL UNIQUE,
    pbs_id        integer UNIQUE,             -- NULL: nobody has given it one, it can't be billed
    name          text    NOT NULL,
    address       text    NOT NULL,
    moved_in_date date    NOT NULL,
    move_out_date date,                       -- the last day it lives here
    CHECK (move_out_date >= moved_in_date)
);

CREATE TABLE dining.app_user (
    id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email        text   NOT NULL,             -- trimmed and in lower case
    phone        text,
    system_roles text[] NOT NULL DEFAULT '{}' CHECK (system_roles <@ ARRAY['ADMIN', 'ALLERGYMANAGER']),
    -- Deferrable means: checked at the end of the statement. Two people who swap addresses are one UPDATE.
    UNIQUE (email) DEFERRABLE INITIALLY IMMEDIATE
);

CREATE TABLE dining.inhabitant (
    id                 integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    heynabo_id         integer NOT NULL UNIQUE,
    household_id       integer NOT NULL REFERENCES dining.household ON DELETE RESTRICT,
    user_id            integer UNIQUE REFERENCES dining.app_user ON DELETE SET NULL,
    first_name         text    NOT NULL,
    last_name          text    NOT NULL,
    picture_url        text,
    birth_date         date,                  -- NULL: unknown, priced as an adult
    -- {"MONDAY": "DINEIN", ...}; a weekday that is not named is NONE: nobody is booked who did not ask
    dinner_preferences jsonb   NOT NULL DEFAULT '{}',
    CHECK (jsonb_typeof(dinner_preferences) = 'object'),
    CHECK (dinner_preferences - ARRAY['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY'] = '{}'),
    CHECK (NOT jsonb_path_exists(dinner_preferences,
        '$.* ? (!(@ == "DINEIN" || @ == "DINEINLATE" || @ == "TAKEAWAY" || @ == "NONE"))'))
);
CREATE INDEX inhabitant_household ON dining.inhabitant (household_id);

CREATE TABLE dining.season (
    id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    short_name   text    NOT NULL UNIQUE,
    first_day    date    NOT NULL,
    last_day     date    NOT NULL,
    cooking_days text[]  NOT NULL CHECK (cooking_days <@
        ARRAY['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY']),
    is_active    boolean NOT NULL DEFAULT false,
    CHECK (first_day <= last_day)
);
CREATE UNIQUE INDEX season_at_most_one_active ON dining.season (is_active) WHERE is_active;

CREATE TABLE dining.ticket_price (
    season_id   integer NOT NULL REFERENCES dining.season ON DELETE CASCADE,
    ticket_type text    NOT NULL CHECK (ticket_type IN ('ADULT', 'CHILD', 'BABY')),
    price       integer NOT NULL CHECK (price >= 0),
    upper_age   integer CHECK (upper_age >= 0),  -- in whole years, inclusive
    PRIMARY KEY (season_id, ticket_type),
    CHECK ((ticket_type = 'ADULT') = (upper_age IS NULL))
);

CREATE TABLE dining.dinner_event (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    season_id  integer     NOT NULL REFERENCES dining.season ON DELETE RESTRICT,
    starts_at  timestamptz NOT NULL,
    state      text        NOT NULL DEFAULT 'SCHEDULED'
               CHECK (state IN ('SCHEDULED', 'ANNOUNCED', 'CANCELLED', 'CONSUMED')),
    menu_title text        NOT NULL DEFAULT '',
    UNIQUE (season_id, starts_at)
);

CREATE TABLE dining.dinner_order (
    id               integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dinner_event_id  integer NOT NULL REFERENCES dining.dinner_event ON DELETE RESTRICT,
    inhabitant_id    integer REFERENCES dining.inhabitant ON DELETE SET NULL,
    person           jsonb,                   -- set when the inhabitant is deleted; the shape of dining.person_snapshot
    state            text    NOT NULL DEFAULT 'BOOKED'
                     CHECK (state IN ('BOOKED', 'RELEASED', 'CANCELLED', 'CLOSED')),
    dinner_mode      text    NOT NULL CHECK (dinner_mode IN ('DINEIN', 'DINEINLATE', 'TAKEAWAY', 'NONE')),
    ticket_type      text    NOT NULL CHECK (ticket_type IN ('ADULT', 'CHILD', 'BABY')),
    price_at_booking integer NOT NULL CHECK (price_at_booking >= 0),
    booked_by_system boolean NOT NULL DEFAULT false,
    closed_at        timestamptz,
    UNIQUE (dinner_event_id, inhabitant_id),
    CHECK (inhabitant_id IS NOT NULL OR person IS NOT NULL),
    CHECK ((state = 'CLOSED') = (closed_at IS NOT NULL))
);
CREATE INDEX dinner_order_inhabitant ON dining.dinner_order (inhabitant_id);
CREATE INDEX dinner_order_to_close ON dining.dinner_order (dinner_event_id) WHERE state IN ('BOOKED', 'RELEASED');

CREATE TABLE dining.dinner_cancellation (
    inhabitant_id   integer NOT NULL REFERENCES dining.inhabitant ON DELETE CASCADE,
    dinner_event_id integer NOT NULL REFERENCES dining.dinner_event ON DELETE CASCADE,
    PRIMARY KEY (dinner_event_id, inhabitant_id)
);
CREATE INDEX dinner_cancellation_inhabitant ON dining.dinner_cancellation (inhabitant_id);

CREATE TABLE dining.billing_period (
    id              integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first_day       date        NOT NULL UNIQUE CHECK (extract(day FROM first_day) = 1),
    last_day        date        NOT NULL UNIQUE,
    total_amount    bigint      NOT NULL CHECK (total_amount >= 0),
    household_count integer     NOT NULL CHECK (household_count > 0),
    cutoff_date     date        NOT NULL,     -- the day it was billed: what comes later is late
    payment_date    date        NOT NULL,
    CHECK (last_day = (first_day + interval '1 month' - interval '1 day')::date),
    CHECK (last_day < cutoff_date AND cutoff_date < payment_date)
);

CREATE TABLE dining.invoice (
    id                   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    billing_period_id    integer NOT NULL REFERENCES dining.billing_period ON DELETE RESTRICT,
    household_id         integer REFERENCES dining.household ON DELETE SET NULL,
    household_heynabo_id integer NOT NULL,
    amount               bigint  NOT NULL CHECK (amount >= 0),
    -- frozen when it was made
    pbs_id               integer NOT NULL,
    name                 text    NOT NULL,
    address              text    NOT NULL,
    UNIQUE (billing_period_id, household_heynabo_id)
);
CREATE INDEX invoice_household ON dining.invoice (household_id);

CREATE TABLE dining.order_transaction (
    id                   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id             integer     NOT NULL UNIQUE REFERENCES dining.dinner_order ON DELETE RESTRICT,
    household_heynabo_id integer     NOT NULL,  -- who pays
    amount               integer     NOT NULL CHECK (amount >= 0),
    snapshot             jsonb       NOT NULL,  -- {"order": ..., "dinner": ..., "person": {..., "household": ...}}
    invoice_id           integer     REFERENCES dining.invoice ON DELETE RESTRICT,
    created_at           timestamptz NOT NULL
);
CREATE INDEX order_transaction_invoice ON dining.order_transaction (invoice_id);
CREATE INDEX order_transaction_unbilled ON dining.order_transaction (household_heynabo_id) WHERE invoice_id IS NULL;

-- A person and a household as the money rows remember them. One definition, for the transactions and for those
-- who leave.
CREATE VIEW dining.household_snapshot AS
SELECT h.id AS household_id,
       h.heynabo_id,
       jsonb_build_object(
           'id', h.id,
           'heynaboId', h.heynabo_id,
           'pbsId', h.pbs_id,
           'name', h.name,
           'address', h.address
       ) AS household
FROM dining.household h;

CREATE VIEW dining.person_snapshot AS
SELECT i.id AS inhabitant_id,
       jsonb_build_object(
           'inhabitantId', i.id,
           'heynaboId', i.heynabo_id,
           'firstName', i.first_name,
           'lastName', i.last_name,
           'birthDate', i.birth_date,
           'household', s.household
       ) AS person
FROM dining.inhabitant i
JOIN dining.household_snapshot s ON s.household_id = i.household_id;

-- migrate:down
DROP SCHEMA dining CASCADE;
