-- Assertions of applications that have been taken once. `jti` is its plain SHA-256: nodes and ring keys change, and
-- must all find the same row; the name of an assertion is no secret, and worth nothing once it stands here.

CREATE TABLE assertions (
    tenant              TEXT NOT NULL,
    application         TEXT NOT NULL,
    jti                 BYTEA NOT NULL,
    attempt             UUID NOT NULL,
    until               BIGINT NOT NULL,
    PRIMARY KEY (tenant, application, jti)
);
CREATE INDEX assertions_until ON assertions (until);
