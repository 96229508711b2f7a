-- How sessions end at the provider.
--
-- outbox: what a provider is still to be told about one grant that is over. `tokens` is sealed for this very row; the row
-- goes when the provider has been told, or when that is given up. `claim`: the attempt that tells it now, until `due_at`.
-- logout_tokens: logout tokens of providers that have been taken once (OpenID Connect Back-Channel Logout §2.6). `jti` is
-- its plain SHA-256, as in `assertions`; a provider's token is about its persons, whatever tenant they sign in at. `sid_hash`:
-- keyed, as in `grants`: the session that has ended there approves nothing any more.
-- grants: keyed hashes of what a provider calls its session and its person, for as long as the grant has its tokens.

CREATE TABLE outbox (
    tenant              TEXT NOT NULL,
    outbox_id           BLOB NOT NULL,
    login_id            BLOB NOT NULL,
    session_id          BLOB,
    application         TEXT NOT NULL,
    registration        TEXT NOT NULL,
    provider            TEXT NOT NULL,
    person              BLOB NOT NULL,
    support_code        TEXT NOT NULL,
    x5t                 TEXT,
    created_at          INTEGER NOT NULL,
    give_up_at          INTEGER NOT NULL,
    due_at              INTEGER NOT NULL,
    tries               INTEGER NOT NULL,
    claim               BLOB,
    refresh_token_left  INTEGER NOT NULL CHECK (refresh_token_left IN (0, 1)),
    access_token_left   INTEGER NOT NULL CHECK (access_token_left IN (0, 1)),
    session_left        INTEGER NOT NULL CHECK (session_left IN (0, 1)),
    so_far              TEXT NOT NULL CHECK (so_far IN ('nothing', 'told', 'refused')),
    wraps               TEXT NOT NULL,
    tokens              BLOB NOT NULL,
    PRIMARY KEY (tenant, outbox_id)
) STRICT;
CREATE INDEX outbox_by_id ON outbox (outbox_id);
CREATE INDEX outbox_due ON outbox (provider, due_at);

CREATE TABLE logout_tokens (
    provider            TEXT NOT NULL,
    jti                 BLOB NOT NULL,
    attempt             BLOB NOT NULL,
    taken_at            INTEGER NOT NULL,
    until               INTEGER NOT NULL,
    sid_hash            BLOB,
    sid_key_id          TEXT,
    CHECK ((sid_hash IS NULL) = (sid_key_id IS NULL)),
    PRIMARY KEY (provider, jti)
) STRICT;
CREATE INDEX logout_tokens_until ON logout_tokens (until);
CREATE INDEX logout_tokens_by_sid ON logout_tokens (sid_hash) WHERE sid_hash IS NOT NULL;

ALTER TABLE grants ADD COLUMN sid_hash BLOB;
ALTER TABLE grants ADD COLUMN sub_hash BLOB;
ALTER TABLE grants ADD COLUMN logout_key_id TEXT CHECK ((logout_key_id IS NULL) = (sub_hash IS NULL));
CREATE INDEX grants_by_sid ON grants (sid_hash) WHERE sid_hash IS NOT NULL;
CREATE INDEX grants_by_sub ON grants (sub_hash) WHERE sub_hash IS NOT NULL;
CREATE INDEX sessions_by_registration ON sessions (registration) WHERE ended_at IS NULL;
