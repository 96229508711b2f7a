-- What a provider tells by itself is recorded as its own doing: a new kind of actor.
-- logins.id_token_sha256: of the signed part of the ID token that approved the login. No other login takes it again.

ALTER TABLE audit DROP CONSTRAINT audit_actor_check;
ALTER TABLE audit ADD CONSTRAINT audit_actor_check
    CHECK (actor IN ('application', 'holder', 'engine', 'provider'));

ALTER TABLE logins ADD COLUMN id_token_sha256 BYTEA;
CREATE UNIQUE INDEX logins_by_id_token ON logins (id_token_sha256) WHERE id_token_sha256 IS NOT NULL;
