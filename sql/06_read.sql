--
-- status(), apps, logs()
--
BEGIN;
CREATE FUNCTION keys(jsonb) RETURNS text LANGUAGE sql AS
	$$ SELECT string_agg(k, ' ' ORDER BY k COLLATE "C") FROM jsonb_object_keys($1) AS k $$;
SELECT count(hafstack.configure(haf => '"haf:1"', vars => '{"password": "secret"}', postgres_url => 'postgres://u:secret@h/db'));
SELECT hafstack.register_app('one', index => '"x:1"', setup => '{"Image": "x:1", "Env": ["P=secret"]}', sync => '"x:1"',
	contexts => '{one}', api => '["a:1", {"Image": "b:1", "name": "the-api"}]');
SELECT hafstack.register_app('two', setup => '["x:1", "y:1"]', live_sync => '"z:1"', done => '{setup}', place => 1000);
SELECT hafstack.register_app('three', place => 500);

-- every key of the document
SELECT keys(s) AS document, keys(s->'haf') AS haf, keys(s->'worker') AS worker, keys(s->'apps'->0) AS app,
	keys(s->'apps'->0->'containers'->0) AS container
FROM hafstack.status() AS s \gx
SELECT s->'fsync' = to_jsonb(current_setting('fsync')::boolean) AS fsync, s->'phase' AS phase, s->'topology' AS topology
FROM hafstack.status() AS s;

-- containers to come are there, in order; roles that are done have none
SELECT a->>'name' AS app, c->>'role' AS role, c->>'ordinal' AS n, c->>'name' AS name, c->>'state' AS state, c->>'attempt' AS attempt
FROM hafstack.status() AS s, jsonb_array_elements(s->'apps') WITH ORDINALITY AS x (a, i),
	jsonb_array_elements(a->'containers') WITH ORDINALITY AS y (c, j)
UNION ALL
SELECT NULL, c->>'role', c->>'ordinal', c->>'name', c->>'state', c->>'attempt'
FROM hafstack.status() AS s, jsonb_array_elements(s->'haf'->'containers') AS c;
SELECT a->>'name' AS app, jsonb_array_length(a->'containers') AS containers
FROM hafstack.status() AS s, jsonb_array_elements(s->'apps') AS a;

-- real ones take their place; what is over and not wanted any more is gone
UPDATE hafstack.app SET phase = 'app_sync', failed = true, error = 'it broke' WHERE name = 'one';
INSERT INTO hafstack.container (app, role, ordinal, run, attempt, name, id, image, state, health, exit_code, started_at, error, log)
VALUES ('one', 'sync', 1, 1, 2, 'haf-one-sync', 'abc', 'x:1', 'running', 'healthy', NULL, '2026-01-01 00:00:00+00', NULL, NULL),
	('one', 'setup', 1, 1, 3, 'haf-one-setup', 'def', 'x:1', 'removed', NULL, 0, '2026-01-01 00:00:00+00', NULL, E'line 1\nline 2'),
	('one', 'setup', 2, 1, 1, 'haf-one-setup-2', NULL, 'x:1', 'removed', NULL, 0, NULL, NULL, 'gone'),
	('one', 'setup', 3, 1, 1, 'haf-one-setup-3', 'fed', 'x:1', 'exited', NULL, 1, NULL, 'bad', 'still there'),
	(NULL, 'instance', 1, 1, 1, 'haf-instance', 'aaa', 'haf:1', 'running', NULL, NULL, NULL, NULL, 'hived');
SET LOCAL timezone = 'UTC';
SELECT a->>'phase' AS phase, a->>'failed' AS failed, a->>'error' AS error, a->>'held' AS held, jsonb_pretty(a->'containers') AS containers
FROM hafstack.status() AS s, jsonb_array_elements(s->'apps') AS a WHERE a->>'name' = 'one' \gx
SELECT c FROM hafstack.status() AS s, jsonb_array_elements(s->'haf'->'containers') AS c;

-- no secret anywhere
SELECT hafstack.status()::text LIKE '%secret%' AS leak;

SELECT name, phase, failed, held, waiting_for IS NOT NULL AS waits FROM hafstack.apps;

-- logs
SELECT hafstack.logs('one', 'setup');
SELECT hafstack.logs('one', 'setup', 3);
SELECT hafstack.logs(NULL, 'instance');
SELECT hafstack.logs('one', 'sync') IS NULL AS nothing_yet;
\pset format unaligned
\pset tuples_only on
SELECT refused($$ SELECT hafstack.logs('one', 'index') $$);
SELECT refused($$ SELECT hafstack.logs('one', 'sync', 2) $$);
SELECT refused($$ SELECT hafstack.logs('one', 'instance') $$);
SELECT refused($$ SELECT hafstack.logs('one', 'nonesuch') $$);
SELECT refused($$ SELECT hafstack.logs('one', NULL) $$);
SELECT refused($$ SELECT hafstack.logs(NULL, 'sync') $$);
SELECT refused($$ SELECT hafstack.logs(NULL, 'live_sync') $$);
SELECT refused($$ SELECT hafstack.logs('nobody', 'setup') $$);
ROLLBACK;
