-- What a login needs whose provider tells the outcome by itself (ping, push: CIBA §10.2, §10.3).
-- notification_hash: of the token that the provider must come with. request_hash: of the provider's name of the request,
-- from the acknowledgement on. early_hash: of that name as a notification said it before the acknowledgement was here.

ALTER TABLE logins ADD COLUMN delivery TEXT NOT NULL DEFAULT 'poll' CHECK (delivery IN ('poll', 'ping', 'push'));
ALTER TABLE logins ADD COLUMN notification_hash BYTEA;
ALTER TABLE logins ADD COLUMN notification_key_id TEXT
    CHECK ((notification_key_id IS NULL) = (notification_hash IS NULL));
ALTER TABLE logins ADD COLUMN request_hash BYTEA;
ALTER TABLE logins ADD COLUMN request_key_id TEXT CHECK ((request_key_id IS NULL) = (request_hash IS NULL));
ALTER TABLE logins ADD COLUMN early_hash BYTEA;
ALTER TABLE logins ADD COLUMN early_key_id TEXT CHECK ((early_key_id IS NULL) = (early_hash IS NULL));
ALTER TABLE logins ADD COLUMN announced_at BIGINT;
CREATE UNIQUE INDEX logins_by_notification ON logins (notification_hash) WHERE notification_hash IS NOT NULL;
