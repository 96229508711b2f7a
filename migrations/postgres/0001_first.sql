-- What is expensive to add later, from the start: see migrations/README.md.
-- Times are microseconds since the Unix epoch (UTC), flags 0 or 1, lists JSON text.

CREATE TABLE logins (
    tenant              TEXT NOT NULL,
    login_id            UUID NOT NULL,
    grant_id            UUID NOT NULL,
    application         TEXT NOT NULL,
    registration        TEXT NOT NULL,
    provider            TEXT NOT NULL,
    environment         TEXT NOT NULL CHECK (environment IN ('production', 'test')),
    person              BYTEA NOT NULL,
    support_code        TEXT NOT NULL,
    reference           TEXT,
    channel             TEXT,
    binding_message     TEXT NOT NULL,
    x5t                 TEXT,
    client_context      TEXT,
    scope               TEXT NOT NULL,
    acr_values          TEXT NOT NULL,
    token_hash          BYTEA NOT NULL,
    token_key_id        TEXT NOT NULL,
    bound_jkt           TEXT,
    bound_x5t           TEXT,
    created_at          BIGINT NOT NULL,
    owner               UUID NOT NULL,
    adoption            UUID,
    version             BIGINT NOT NULL,
    attempt             UUID NOT NULL,
    status              TEXT NOT NULL CHECK (status IN
        ('starting', 'pending', 'approved', 'picked_up', 'denied', 'expired', 'failed', 'cancelled')),
    until               BIGINT,
    interval_us         BIGINT,
    not_before          BIGINT,
    provider_slow       BIGINT NOT NULL DEFAULT 0 CHECK (provider_slow IN (0, 1)),
    approved_at         BIGINT,
    session_id          UUID,
    repeatable_until    BIGINT,
    reason              TEXT,
    ended_at            BIGINT,
    hidden_until        BIGINT,
    hidden_cancelled_at BIGINT,
    hidden_reason       TEXT,
    PRIMARY KEY (tenant, login_id),
    CHECK ((status IN ('starting', 'pending', 'approved')) = (until IS NOT NULL)),
    CHECK ((status = 'pending') = (interval_us IS NOT NULL)),
    CHECK ((status = 'picked_up') = (session_id IS NOT NULL)),
    CHECK ((status IN ('denied', 'expired', 'failed', 'cancelled')) = (reason IS NOT NULL)),
    CHECK ((status IN ('picked_up', 'denied', 'expired', 'failed', 'cancelled')) = (ended_at IS NOT NULL))
);
CREATE INDEX logins_by_id ON logins (login_id);
CREATE UNIQUE INDEX logins_by_token ON logins (token_hash);
CREATE INDEX logins_open ON logins (status, until) WHERE ended_at IS NULL;
CREATE INDEX logins_polled ON logins (registration, owner) WHERE ended_at IS NULL;
CREATE INDEX logins_ended ON logins (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX logins_by_support_code ON logins (support_code);

CREATE TABLE person_slots (
    provider            TEXT NOT NULL,
    person              BYTEA NOT NULL,
    login_id            UUID NOT NULL,
    until               BIGINT NOT NULL,
    PRIMARY KEY (provider, person)
);
CREATE INDEX person_slots_until ON person_slots (until);

CREATE TABLE grants (
    tenant              TEXT NOT NULL,
    grant_id            UUID NOT NULL,
    login_id            UUID NOT NULL,
    registration        TEXT NOT NULL,
    wraps               TEXT,
    hint                BYTEA,
    hint_until          BIGINT,
    request             BYTEA,
    tokens              BYTEA,
    claims              BYTEA,
    userinfo            BYTEA,
    PRIMARY KEY (tenant, grant_id),
    UNIQUE (tenant, login_id),
    FOREIGN KEY (tenant, login_id) REFERENCES logins (tenant, login_id),
    CHECK (wraps IS NOT NULL OR
        (hint IS NULL AND request IS NULL AND tokens IS NULL AND claims IS NULL AND userinfo IS NULL))
);
CREATE INDEX grants_by_id ON grants (grant_id);
CREATE INDEX grants_by_login ON grants (login_id);
CREATE INDEX grants_hint_until ON grants (hint_until) WHERE hint_until IS NOT NULL;

CREATE TABLE sessions (
    tenant              TEXT NOT NULL,
    session_id          UUID NOT NULL,
    login_id            UUID NOT NULL,
    grant_id            UUID NOT NULL,
    application         TEXT NOT NULL,
    registration        TEXT NOT NULL,
    provider            TEXT NOT NULL,
    environment         TEXT NOT NULL CHECK (environment IN ('production', 'test')),
    person              BYTEA NOT NULL,
    support_code        TEXT NOT NULL,
    reference           TEXT,
    x5t                 TEXT,
    exercice            TEXT,
    created_at          BIGINT NOT NULL,
    expires_at          BIGINT NOT NULL,
    idle_us             BIGINT NOT NULL,
    last_used_at        BIGINT NOT NULL,
    grant_expires_at    BIGINT,
    due_at              BIGINT NOT NULL,
    version             BIGINT NOT NULL,
    attempt             UUID NOT NULL,
    status              TEXT NOT NULL CHECK (status IN ('active', 'ended')),
    reason              TEXT,
    ended_at            BIGINT,
    PRIMARY KEY (tenant, session_id),
    UNIQUE (tenant, login_id),
    FOREIGN KEY (tenant, login_id) REFERENCES logins (tenant, login_id),
    CHECK ((status = 'ended') = (reason IS NOT NULL)),
    CHECK ((status = 'ended') = (ended_at IS NOT NULL))
);
CREATE INDEX sessions_by_id ON sessions (session_id);
CREATE INDEX sessions_due ON sessions (due_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_by_person ON sessions (tenant, application, person) WHERE ended_at IS NULL;

CREATE TABLE handles (
    hash                BYTEA NOT NULL PRIMARY KEY,
    key_id              TEXT NOT NULL,
    tenant              TEXT NOT NULL,
    session_id          UUID NOT NULL,
    login_id            UUID NOT NULL,
    bound_jkt           TEXT,
    bound_x5t           TEXT,
    created_at          BIGINT NOT NULL,
    first_used_at       BIGINT,
    dead_since          BIGINT,
    FOREIGN KEY (tenant, session_id) REFERENCES sessions (tenant, session_id),
    CHECK (first_used_at IS NULL OR dead_since IS NULL)
);
CREATE INDEX handles_by_session ON handles (session_id);

CREATE TABLE replays (
    tenant              TEXT NOT NULL,
    kind                TEXT NOT NULL CHECK (kind IN ('start')),
    key_hash            BYTEA NOT NULL,
    key_id              TEXT NOT NULL,
    body_hash           BYTEA NOT NULL,
    login_id            UUID NOT NULL,
    until               BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, key_hash)
);
CREATE INDEX replays_until ON replays (until);

CREATE TABLE nodes (
    node_id             UUID NOT NULL PRIMARY KEY,
    lease_until         BIGINT NOT NULL
);

CREATE TABLE audit (
    seq                 BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at                  BIGINT NOT NULL,
    event               TEXT NOT NULL,
    tenant              TEXT NOT NULL,
    application         TEXT NOT NULL,
    registration        TEXT NOT NULL,
    person              TEXT NOT NULL,
    login_id            UUID NOT NULL,
    session_id          UUID,
    related_id          UUID,
    reason              TEXT,
    attempt             UUID NOT NULL,
    actor               TEXT NOT NULL CHECK (actor IN ('application', 'holder', 'engine')),
    address             TEXT,
    port                BIGINT,
    certificate_dn      TEXT,
    request_id          TEXT,
    key_id              TEXT NOT NULL,
    mac                 BYTEA NOT NULL
);
CREATE INDEX audit_by_login ON audit (login_id);
CREATE INDEX audit_by_time ON audit (tenant, at);

-- An audit record is written once.
CREATE FUNCTION relais_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0];
END $$;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION relais_refuse('audit records are never changed');
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION relais_refuse('audit records are never removed');
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION relais_refuse('audit records are never removed');

-- Terminal is terminal, whoever writes.
CREATE TRIGGER logins_terminal BEFORE UPDATE OF status ON logins FOR EACH ROW
    WHEN (old.status NOT IN ('starting', 'pending', 'approved') AND new.status <> old.status)
    EXECUTE FUNCTION relais_refuse('a login that has ended does not change its state');
CREATE TRIGGER sessions_terminal BEFORE UPDATE OF status ON sessions FOR EACH ROW
    WHEN (old.status = 'ended' AND new.status <> old.status)
    EXECUTE FUNCTION relais_refuse('a session that has ended does not change its state');
