-- Statistics before the first row. Without any, PostgreSQL takes each index that begins with `tenant` for as good as
-- the right one, keeps such a plan for the life of a connection, and the first thousands of logins and sessions are
-- each looked for among all the others. What is inserted here is gone at the end of this migration; what was learnt
-- from it (one tenant has many rows, an identifier has one) stays until there is something better to learn.
-- Not part of the first migration: only a table of an earlier transaction forgets its size when it is emptied.
INSERT INTO logins (tenant, login_id, grant_id, application, registration, provider, environment, person,
    support_code, binding_message, scope, acr_values, token_hash, token_key_id, created_at, owner, version, attempt,
    status, until, interval_us, approved_at, session_id, reason, ended_at)
SELECT 'seed', gen_random_uuid(), gen_random_uuid(), 'seed', 'seed', 'seed', 'test', decode(md5(n::text), 'hex'),
    n::text, '42', '[]', '[]', decode(md5('t' || n), 'hex'), 'seed', n, gen_random_uuid(), 1, gen_random_uuid(),
    CASE n % 4 WHEN 0 THEN 'pending' WHEN 1 THEN 'approved' WHEN 2 THEN 'picked_up' ELSE 'denied' END,
    CASE WHEN n % 4 < 2 THEN n END, CASE WHEN n % 4 = 0 THEN n END, CASE WHEN n % 4 = 1 THEN n END,
    CASE WHEN n % 4 = 2 THEN gen_random_uuid() END, CASE WHEN n % 4 = 3 THEN 'user_denied' END,
    CASE WHEN n % 4 > 1 THEN n END
FROM generate_series(1, 1000) AS n;
INSERT INTO grants (tenant, grant_id, login_id, registration) SELECT tenant, grant_id, login_id, registration FROM logins;
INSERT INTO sessions (tenant, session_id, login_id, grant_id, application, registration, provider, environment,
    person, support_code, created_at, expires_at, idle_us, last_used_at, due_at, version, attempt, status, reason,
    ended_at)
SELECT tenant, gen_random_uuid(), login_id, grant_id, application, registration, provider, environment, person,
    support_code, created_at, 1, 1, 1, created_at, 1, attempt, CASE created_at % 2 WHEN 0 THEN 'active' ELSE 'ended' END,
    CASE WHEN created_at % 2 = 1 THEN 'idle' END, CASE WHEN created_at % 2 = 1 THEN created_at END
FROM logins;
INSERT INTO handles (hash, key_id, tenant, session_id, login_id, created_at)
SELECT decode(md5(support_code), 'hex'), 'seed', tenant, session_id, login_id, created_at FROM sessions;
ANALYZE logins, grants, sessions, handles;
TRUNCATE logins, grants, sessions, handles;
