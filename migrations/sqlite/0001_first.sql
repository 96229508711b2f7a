-- What is expensive to add later, from the start: see migrations/README.md.
-- Identifiers are 16 bytes, times microseconds since the Unix epoch (UTC), flags 0 or 1, lists JSON text.

CREATE TABLE logins (
    tenant              TEXT NOT NULL,
    login_id            BLOB NOT NULL,
    grant_id            BLOB NOT NULL,
    application         TEXT NOT NULL,
    registration        TEXT NOT NULL,
    provider            TEXT NOT NULL,
    environment         TEXT NOT NULL CHECK (environment IN ('production', 'test')),
    person              BLOB NOT NULL,
    support_code        TEXT NOT NULL,
    reference           TEXT,
    channel             TEXT,
    binding_message     TEXT NOT NULL,
    x5t                 TEXT,
    client_context      TEXT,
    scope               TEXT NOT NULL,
    acr_values          TEXT NOT NULL,
    token_hash          BLOB NOT NULL,
    token_key_id        TEXT NOT NULL,
    bound_jkt           TEXT,
    bound_x5t           TEXT,
    created_at          INTEGER NOT NULL,
    owner               BLOB NOT NULL,
    adoption            BLOB,
    version             INTEGER NOT NULL,
    attempt             BLOB NOT NULL,
    status              TEXT NOT NULL CHECK (status IN
        ('starting', 'pending', 'approved', 'picked_up', 'denied', 'expired', 'failed', 'cancelled')),
    until               INTEGER,
    interval_us         INTEGER,
    not_before          INTEGER,
    provider_slow       INTEGER NOT NULL DEFAULT 0 CHECK (provider_slow IN (0, 1)),
    approved_at         INTEGER,
    session_id          BLOB,
    repeatable_until    INTEGER,
    reason              TEXT,
    ended_at            INTEGER,
    hidden_until        INTEGER,
    hidden_cancelled_at INTEGER,
    hidden_reason       TEXT,
    PRIMARY KEY (tenant, login_id),
    CHECK ((status IN ('starting', 'pending', 'approved')) = (until IS NOT NULL)),
    CHECK ((status = 'pending') = (interval_us IS NOT NULL)),
    CHECK ((status = 'picked_up') = (session_id IS NOT NULL)),
    CHECK ((status IN ('denied', 'expired', 'failed', 'cancelled')) = (reason IS NOT NULL)),
    CHECK ((status IN ('picked_up', 'denied', 'expired', 'failed', 'cancelled')) = (ended_at IS NOT NULL))
) STRICT;
CREATE INDEX logins_by_id ON logins (login_id);
CREATE UNIQUE INDEX logins_by_token ON logins (token_hash);
CREATE INDEX logins_open ON logins (status, until) WHERE ended_at IS NULL;
CREATE INDEX logins_polled ON logins (registration, owner) WHERE ended_at IS NULL;
CREATE INDEX logins_ended ON logins (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX logins_by_support_code ON logins (support_code);

CREATE TABLE person_slots (
    provider            TEXT NOT NULL,
    person              BLOB NOT NULL,
    login_id            BLOB NOT NULL,
    until               INTEGER NOT NULL,
    PRIMARY KEY (provider, person)
) STRICT;
CREATE INDEX person_slots_until ON person_slots (until);

CREATE TABLE grants (
    tenant              TEXT NOT NULL,
    grant_id            BLOB NOT NULL,
    login_id            BLOB NOT NULL,
    registration        TEXT NOT NULL,
    wraps               TEXT,
    hint                BLOB,
    hint_until          INTEGER,
    request             BLOB,
    tokens              BLOB,
    claims              BLOB,
    userinfo            BLOB,
    PRIMARY KEY (tenant, grant_id),
    UNIQUE (tenant, login_id),
    FOREIGN KEY (tenant, login_id) REFERENCES logins (tenant, login_id),
    CHECK (wraps IS NOT NULL OR
        (hint IS NULL AND request IS NULL AND tokens IS NULL AND claims IS NULL AND userinfo IS NULL))
) STRICT;
CREATE INDEX grants_by_id ON grants (grant_id);
CREATE INDEX grants_by_login ON grants (login_id);
CREATE INDEX grants_hint_until ON grants (hint_until) WHERE hint_until IS NOT NULL;

CREATE TABLE sessions (
    tenant              TEXT NOT NULL,
    session_id          BLOB NOT NULL,
    login_id            BLOB NOT NULL,
    grant_id            BLOB NOT NULL,
    application         TEXT NOT NULL,
    registration        TEXT NOT NULL,
    provider            TEXT NOT NULL,
    environment         TEXT NOT NULL CHECK (environment IN ('production', 'test')),
    person              BLOB NOT NULL,
    support_code        TEXT NOT NULL,
    reference           TEXT,
    x5t                 TEXT,
    exercice            TEXT,
    created_at          INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,
    idle_us             INTEGER NOT NULL,
    last_used_at        INTEGER NOT NULL,
    grant_expires_at    INTEGER,
    due_at              INTEGER NOT NULL,
    version             INTEGER NOT NULL,
    attempt             BLOB NOT NULL,
    status              TEXT NOT NULL CHECK (status IN ('active', 'ended')),
    reason              TEXT,
    ended_at            INTEGER,
    PRIMARY KEY (tenant, session_id),
    UNIQUE (tenant, login_id),
    FOREIGN KEY (tenant, login_id) REFERENCES logins (tenant, login_id),
    CHECK ((status = 'ended') = (reason IS NOT NULL)),
    CHECK ((status = 'ended') = (ended_at IS NOT NULL))
) STRICT;
CREATE INDEX sessions_by_id ON sessions (session_id);
CREATE INDEX sessions_due ON sessions (due_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_by_person ON sessions (tenant, application, person) WHERE ended_at IS NULL;

CREATE TABLE handles (
    hash                BLOB NOT NULL PRIMARY KEY,
    key_id              TEXT NOT NULL,
    tenant              TEXT NOT NULL,
    session_id          BLOB NOT NULL,
    login_id            BLOB NOT NULL,
    bound_jkt           TEXT,
    bound_x5t           TEXT,
    created_at          INTEGER NOT NULL,
    first_used_at       INTEGER,
    dead_since          INTEGER,
    FOREIGN KEY (tenant, session_id) REFERENCES sessions (tenant, session_id),
    CHECK (first_used_at IS NULL OR dead_since IS NULL)
) STRICT;
CREATE INDEX handles_by_session ON handles (session_id);

CREATE TABLE replays (
    tenant              TEXT NOT NULL,
    kind                TEXT NOT NULL CHECK (kind IN ('start')),
    key_hash            BLOB NOT NULL,
    key_id              TEXT NOT NULL,
    body_hash           BLOB NOT NULL,
    login_id            BLOB NOT NULL,
    until               INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, key_hash)
) STRICT;
CREATE INDEX replays_until ON replays (until);

CREATE TABLE nodes (
    node_id             BLOB NOT NULL PRIMARY KEY,
    lease_until         INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
    seq                 INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at                  INTEGER NOT NULL,
    event               TEXT NOT NULL,
    tenant              TEXT NOT NULL,
    application         TEXT NOT NULL,
    registration        TEXT NOT NULL,
    person              TEXT NOT NULL,
    login_id            BLOB NOT NULL,
    session_id          BLOB,
    related_id          BLOB,
    reason              TEXT,
    attempt             BLOB NOT NULL,
    actor               TEXT NOT NULL CHECK (actor IN ('application', 'holder', 'engine')),
    address             TEXT,
    port                INTEGER,
    certificate_dn      TEXT,
    request_id          TEXT,
    key_id              TEXT NOT NULL,
    mac                 BLOB NOT NULL
) STRICT;
CREATE INDEX audit_by_login ON audit (login_id);
CREATE INDEX audit_by_time ON audit (tenant, at);

-- An audit record is written once.
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit records are never changed');
END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit records are never removed');
END;

-- Terminal is terminal, whoever writes.
CREATE TRIGGER logins_terminal BEFORE UPDATE OF status ON logins
WHEN old.status NOT IN ('starting', 'pending', 'approved') AND new.status <> old.status BEGIN
    SELECT RAISE(ABORT, 'a login that has ended does not change its state');
END;
CREATE TRIGGER sessions_terminal BEFORE UPDATE OF status ON sessions
WHEN old.status = 'ended' AND new.status <> old.status BEGIN
    SELECT RAISE(ABORT, 'a session that has ended does not change its state');
END;
