--
-- start, pause, resume, stop, hold, release, retry, skip, reset
--
\pset format unaligned
\pset tuples_only on

BEGIN;
-- before there is a stack
SELECT refused($$ SELECT hafstack.pause() $$);
SELECT refused($$ SELECT hafstack.resume() $$);
SELECT refused($$ SELECT hafstack.retry(NULL) $$);
SELECT refused($$ SELECT hafstack.skip(NULL) $$);
SELECT hafstack.stop();
SELECT count(*) FROM hafstack.stack;
-- before there is a stack no container can be in the way of a removal
SELECT hafstack.register_app('brief');
SELECT hafstack.remove_app('brief');
SELECT count(*) FROM hafstack.app WHERE name = 'brief';
SELECT hafstack.start();
SELECT name, topology, running, paused, force_stop, generation FROM hafstack.stack;
SELECT hafstack.start();
SELECT hafstack.pause();
SELECT hafstack.pause();
SELECT running, paused, force_stop, generation FROM hafstack.stack;
SELECT hafstack.start(NULL, NULL);
SELECT hafstack.resume();
SELECT hafstack.stop();
SELECT running, paused, force_stop, generation FROM hafstack.stack;
SELECT hafstack.stop(force => true);
SELECT hafstack.stop();
SELECT running, paused, force_stop, generation FROM hafstack.stack;
SELECT hafstack.start();
SELECT running, paused, force_stop, generation FROM hafstack.stack;
SELECT refused($$ SELECT hafstack.start(restart_haf => true) $$);

-- a copy of the database
UPDATE hafstack.stack SET system_identifier = 1, engine = 'x';
SELECT refused($$ SELECT hafstack.start() $$);
SELECT hafstack.start(take_over => true);
SELECT system_identifier = (pg_control_system()).system_identifier, engine IS NULL FROM hafstack.stack;
UPDATE hafstack.stack SET database = 1;
SELECT refused($$ SELECT hafstack.start() $$);
SELECT hafstack.start(take_over => true);
SELECT database = (SELECT oid FROM pg_database WHERE datname = current_database()) FROM hafstack.stack;

-- hold goes down to dependants
SELECT hafstack.register_app('base', setup => '["x:1", "x:2"]', sync => '"x:1"', contexts => '{base}', api => '"x:1"');
SELECT hafstack.register_app('middle', depends_on => '{base}');
SELECT hafstack.register_app('top', depends_on => '{middle}');
SELECT hafstack.register_app('aside');
SELECT hafstack.hold('base');
SELECT hafstack.hold('base');
SELECT name, held FROM hafstack.app ORDER BY place;
SELECT name, held FROM hafstack.apps;
SELECT hafstack.release('base');
SELECT hafstack.release('base');
SELECT name, held FROM hafstack.apps;

-- retry and skip want something that failed
SELECT refused($$ SELECT hafstack.retry('base') $$);
SELECT refused($$ SELECT hafstack.skip('base') $$);
SELECT refused($$ SELECT hafstack.retry(NULL) $$);
SELECT refused($$ SELECT hafstack.skip(NULL) $$);
INSERT INTO hafstack.container (app, role, ordinal, run, state, failed) VALUES ('base', 'setup', 1, 1, 'exited', true);
SELECT hafstack.retry('base');
SELECT hafstack.skip('base');
UPDATE hafstack.container SET role = 'sync';
SELECT hafstack.retry('base');
SELECT refused($$ SELECT hafstack.skip('base') $$);
UPDATE hafstack.container SET role = 'api';
SELECT refused($$ SELECT hafstack.skip('base') $$);
UPDATE hafstack.container SET failed = false;
SELECT refused($$ SELECT hafstack.retry('base') $$);
UPDATE hafstack.container SET failures = 1, retry_at = now() + '1 min';
SELECT hafstack.retry('base');
SELECT refused($$ SELECT hafstack.skip('base') $$);
UPDATE hafstack.app SET failed = true WHERE name = 'middle';
SELECT hafstack.retry('middle');
SELECT refused($$ SELECT hafstack.skip('middle') $$);
UPDATE hafstack.stack SET haf_failed = true;
SELECT hafstack.retry(NULL);
INSERT INTO hafstack.container (role, ordinal, run, state, failed) VALUES ('instance', 1, 1, 'exited', true);
SELECT refused($$ SELECT hafstack.skip(NULL) $$);
INSERT INTO hafstack.container (role, ordinal, run, state, failed) VALUES ('live_sync', 1, 1, 'exited', true);
SELECT hafstack.skip(NULL);
SELECT app, action, detail FROM hafstack.request
WHERE action IN ('retry', 'skip') AND xmin = pg_current_xact_id()::xid ORDER BY id;

-- reset wants a new run and touches nothing else
UPDATE hafstack.app SET phase = 'live', current_run = run WHERE name = 'base';
SELECT hafstack.reset('base');
SELECT phase, run > current_run FROM hafstack.app WHERE name = 'base';
ROLLBACK;

--
-- Index roles want an empty HAF, and nobody wants a pruned one
--
BEGIN;
CREATE SCHEMA hafd;
CREATE TABLE hafd.hived_connections (id bigint);
CREATE TABLE hafd.hive_state (id int, pruning int NOT NULL DEFAULT 0);
SELECT hafstack.register_app('early', index => '"x:1"');
SELECT hafstack.register_app('done', index => '"x:1"', done => '{index}');
SELECT hafstack.register_app('plain');
SELECT hafstack.start();
INSERT INTO hafd.hived_connections VALUES (1);
SELECT refused($$ SELECT hafstack.start() $$);
SELECT refused($$ SELECT hafstack.register_app('late', index => '"x:1"') $$);
SELECT refused($$ SELECT hafstack.alter_app('plain', index => '"x:1"') $$);
SELECT refused($$ SELECT hafstack.alter_app('done', done => '{}') $$);
SELECT refused($$ SELECT hafstack.reset('early') $$);
SELECT hafstack.reset('done');
SELECT hafstack.register_app('late', index => '"x:1"', done => '{index}');
SELECT hafstack.alter_app('early', contexts => '{early}');
-- out of the way it hinders nobody, until it comes back
SELECT hafstack.hold('early');
SELECT hafstack.start();
SELECT refused($$ SELECT hafstack.release('early') $$);
SELECT hafstack.alter_app('early', done => '{index}');
SELECT hafstack.release('early');
SELECT hafstack.start();
-- a row of hive_state says the same
TRUNCATE hafd.hived_connections;
INSERT INTO hafd.hive_state VALUES (1);
SELECT refused($$ SELECT hafstack.register_app('later', index => '"x:1"') $$);
DELETE FROM hafd.hive_state;
-- and so does a stack that has gone past
UPDATE hafstack.stack SET phase = 'haf_sync';
SELECT refused($$ SELECT hafstack.register_app('later', index => '"x:1"') $$);
UPDATE hafstack.stack SET phase = 'index_build';
SELECT hafstack.register_app('later', index => '"x:1"');

-- pruning
SELECT hafstack.remove_app('later');
INSERT INTO hafd.hive_state VALUES (1, 1000);
SELECT refused($$ SELECT hafstack.start() $$);
UPDATE hafd.hive_state SET pruning = 0;
SELECT hafstack.start();
SELECT count(hafstack.configure(haf => '{"Image": "x:1", "Cmd": ["--psql-prune-blocks=1000"]}'));
SELECT refused($$ SELECT hafstack.start() $$);
SELECT count(hafstack.configure(haf => '{"Image": "x:1", "Cmd": ["--psql-prune-blocks", "{{keep}}"]}', vars => '{"keep": 7}'));
SELECT refused($$ SELECT hafstack.start() $$);
SELECT count(hafstack.configure(vars => '{"keep": 0}'));
SELECT hafstack.start();
SELECT count(hafstack.configure(haf => '{"Image": "x:1"}', defaults => '{"Cmd": ["--psql-prune-blocks=9"]}'));
SELECT refused($$ SELECT hafstack.start() $$);
SELECT count(hafstack.configure(haf => '{"Image": "x:1", "Cmd": ["--psql-prune-blocks-not"]}'));
SELECT hafstack.start();
ROLLBACK;

-- older HAF has no column pruning
BEGIN;
CREATE SCHEMA hafd;
CREATE TABLE hafd.hive_state (id int);
SELECT * FROM hafstack.hived_seen();
INSERT INTO hafd.hive_state VALUES (1);
SELECT * FROM hafstack.hived_seen();
ROLLBACK;

-- whoever puts something else in HAF's place does not get our rights
BEGIN;
CREATE ROLE regress_haf_mallory;
CREATE SCHEMA hafd;
GRANT ALL ON SCHEMA hafd TO regress_haf_mallory;
SET LOCAL ROLE regress_haf_mallory;
CREATE FUNCTION hafd.evil() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil as %', current_user; END $$;
CREATE VIEW hafd.hived_connections AS SELECT hafd.evil() AS id;
RESET ROLE;
SELECT * FROM hafstack.hived_seen();
SELECT hafstack.start();
ROLLBACK;
