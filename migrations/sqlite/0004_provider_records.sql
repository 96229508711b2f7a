-- What a provider tells by itself is recorded as its own doing: a new kind of actor. SQLite cannot change a CHECK, so the
-- table is made anew around the same records; their numbers, which are their order, stay.
-- logins.id_token_sha256: of the signed part of the ID token that approved the login. No other login takes it again.

CREATE TABLE audit_anew (
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
    actor               TEXT NOT NULL CHECK (actor IN ('application', 'holder', 'engine', 'provider')),
    address             TEXT,
    port                INTEGER,
    certificate_dn      TEXT,
    request_id          TEXT,
    key_id              TEXT NOT NULL,
    mac                 BLOB NOT NULL
) STRICT;
INSERT INTO audit_anew (seq, at, event, tenant, application, registration, person, login_id, session_id, related_id,
        reason, attempt, actor, address, port, certificate_dn, request_id, key_id, mac)
    SELECT seq, at, event, tenant, application, registration, person, login_id, session_id, related_id,
        reason, attempt, actor, address, port, certificate_dn, request_id, key_id, mac
    FROM audit ORDER BY seq;
DROP TABLE audit;
ALTER TABLE audit_anew RENAME TO audit;
CREATE INDEX audit_by_login ON audit (login_id);
CREATE INDEX audit_by_time ON audit (tenant, at);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit records are never changed');
END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit records are never removed');
END;

ALTER TABLE logins ADD COLUMN id_token_sha256 BLOB;
CREATE UNIQUE INDEX logins_by_id_token ON logins (id_token_sha256) WHERE id_token_sha256 IS NOT NULL;
