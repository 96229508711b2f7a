-- The refresh of a session's tokens. An attempt is recorded before it is sent (attempt, owner, and a deadline in the time
-- of the database, before which nobody else sends); `refresh_generation` counts the replacements that were committed, so
-- that an answer about tokens that have been replaced since changes nothing.
-- refresh_unanswered: how often the present refresh token has been sent without an answer that is known.

ALTER TABLE sessions ADD COLUMN refresh_generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN refresh_due_at INTEGER;
ALTER TABLE sessions ADD COLUMN refresh_attempt BLOB;
ALTER TABLE sessions ADD COLUMN refresh_owner BLOB CHECK ((refresh_owner IS NULL) = (refresh_attempt IS NULL));
ALTER TABLE sessions ADD COLUMN refresh_deadline INTEGER;
ALTER TABLE sessions ADD COLUMN refresh_unanswered INTEGER NOT NULL DEFAULT 0 CHECK (refresh_unanswered BETWEEN 0 AND 2);
ALTER TABLE sessions ADD COLUMN refresh_failures INTEGER NOT NULL DEFAULT 0 CHECK (refresh_failures >= 0);
ALTER TABLE sessions ADD COLUMN refresh_not_before INTEGER;

-- Sessions of before: half of what their refresh token has from the pick-up on.
UPDATE sessions SET refresh_due_at = created_at + (grant_expires_at - created_at) / 2
WHERE status = 'active' AND grant_expires_at IS NOT NULL;
