--
-- configure()
--
\pset format unaligned
\pset tuples_only on

-- All in one transaction, so no worker sees any of it.
BEGIN;
SELECT jsonb_pretty(hafstack.configure());
SELECT generation, spec_version, name, running, phase, engine IS NULL FROM hafstack.stack;
SELECT jsonb_pretty(hafstack.configure(network => 'haf', postgres_url => 'postgres://haf_admin:se:c@ret@haf:5432/haf_block_log',
	haf_image => 'hiveio/haf:1', helper_image => 'postgres:16', haf => '"hiveio/haf:2"', haf_live_sync => '"watch:1"',
	haf_live_when => 'instance_ready', defaults => '{"Env": ["A=1"]}', vars => '{"registry": "hiveio"}'));
SELECT postgres_url, spec_version, haf_counts, haf_names FROM hafstack.stack;
-- null leaves, JSON null and the empty string take away
SELECT jsonb_pretty(hafstack.configure(haf_live_sync => 'null', defaults => 'null', haf_image => '', postgres_url => ''));
SELECT haf_live_sync IS NULL, defaults IS NULL, haf_counts, haf_names FROM hafstack.stack;
-- not everything concerns containers
SELECT spec_version FROM hafstack.stack;
SELECT count(hafstack.configure(haf_live_when => 'live'));
SELECT spec_version FROM hafstack.stack;
-- nothing of a value goes to the worker, whose events everybody may see
SELECT action, app, detail FROM hafstack.request WHERE action = 'configure' AND xmin = pg_current_xact_id()::xid ORDER BY id;

-- masked, however it is written
SELECT hafstack.masked_url(url) FROM (VALUES
	('postgres://u:pa/ss@h/db'), ('postgresql://u:p@h/db?sslmode=require'), ('postgres://u@h:5432/db'),
	('postgres://h/db?user=u&password=secret&x=1'), ('host=h password=secret user=u'),
	('host=h password = ''se cret\'' x'' user=u'), ('postgres://h/db'), (NULL)) AS v (url);

-- what is not to be had
SELECT refused($$ SELECT hafstack.configure(name => 'a b') $$);
SELECT refused($$ SELECT hafstack.configure(name => '-haf') $$);
SELECT refused($$ SELECT hafstack.configure(name => 'h') $$);
SELECT refused($$ SELECT hafstack.configure(name => '') $$);
SELECT refused($$ SELECT hafstack.configure(name => repeat('x', 64)) $$);
SELECT hafstack.configure(topology => 'bundled') ->> 'topology';
SELECT hafstack.configure(topology => 'external') ->> 'topology';
SELECT refused($$ SELECT hafstack.configure(topology => 'ring') $$);
SELECT refused($$ SELECT hafstack.configure(haf_live_when => 'sometimes') $$);
SELECT refused($$ SELECT hafstack.configure(defaults => '[]') $$);
SELECT refused($$ SELECT hafstack.configure(defaults => '"x"') $$);
SELECT refused($$ SELECT hafstack.configure(vars => '[1]') $$);
SELECT refused($$ SELECT hafstack.configure(vars => '{"a": {}}') $$);
SELECT refused($$ SELECT hafstack.configure(vars => '{"network": "x"}') $$);
SELECT refused($$ SELECT hafstack.configure(vars => jsonb_build_object('a', repeat('x', 1024 * 1024))) $$);
SELECT refused($$ SELECT hafstack.configure(defaults => jsonb_build_object('a', repeat('x', 1024 * 1024))) $$);
SELECT refused($$ SELECT hafstack.configure(haf => 'true') $$);
SELECT refused($$ SELECT hafstack.configure(haf => '{"Image": "{{nonesuch}}"}') $$);
SELECT refused($$ SELECT hafstack.configure(haf => '{"Image": "x:1", "HostConfig": {"RestartPolicy": {"Name": "always"}}}') $$);

-- an app's spec is checked again when what it draws on changes
SELECT hafstack.register_app('blocks', image => '{{registry}}/blocks:1', setup => '{"Cmd": ["install"]}', sync => '{}', contexts => '{blocks}');
SELECT refused($$ SELECT hafstack.configure(vars => 'null') $$);
SELECT refused($$ SELECT hafstack.configure(vars => '{"version": "2"}') $$);
SELECT refused($$ SELECT hafstack.configure(haf => '{"Image": "x:1", "name": "haf-blocks-sync"}') $$);
SELECT refused($$ SELECT hafstack.configure(haf => '[{"Image": "x:1", "name": "one"}, {"Image": "x:1", "name": "one"}]') $$);

-- a new name makes new names
SELECT count(hafstack.configure(name => 'mainnet', haf => '["x:1", "x:1"]'));
SELECT names FROM hafstack.app;
SELECT haf_names FROM hafstack.stack;
SELECT hafstack.register_app('other', setup => '{"Image": "x:1", "name": "second-blocks-sync"}');
SELECT refused($$ SELECT hafstack.configure(name => 'second') $$);

-- after start() name and topology are settled
SELECT hafstack.start();
SELECT refused($$ SELECT hafstack.configure(name => 'other') $$);
SELECT count(hafstack.configure(name => 'mainnet', topology => 'external', network => 'haf2'));
SELECT hafstack.stop();
UPDATE hafstack.stack SET phase = 'live';
SELECT refused($$ SELECT hafstack.configure(name => 'other') $$);
UPDATE hafstack.stack SET phase = 'idle';
INSERT INTO hafstack.container (app, role, ordinal, run, state) VALUES ('blocks', 'sync', 1, 1, 'exited');
SELECT refused($$ SELECT hafstack.configure(name => 'other') $$);
UPDATE hafstack.container SET state = 'removed';
SELECT count(hafstack.configure(name => 'other'));
ROLLBACK;
