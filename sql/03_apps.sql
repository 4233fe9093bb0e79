--
-- register_app(), alter_app(), remove_app()
--
\pset format unaligned
\pset tuples_only on

-- a first session, word for word
BEGIN;
SELECT hafstack.configure(network => 'haf', postgres_url => 'postgres://haf_admin@haf:5432/haf_block_log',
                          vars => '{"registry": "hiveio", "version": "1.28.6"}');
SELECT hafstack.register_app('reputation-tracker', contexts => '{reptracker_app}',
    image => '{{registry}}/reputation_tracker:{{version}}',
    setup => '{"Cmd": ["install_app"], "Env": ["POSTGRES_HOST=haf"]}',
    sync  => '{"Cmd": ["process_blocks"], "Env": ["POSTGRES_HOST=haf", "POSTGRES_USER=reptracker_owner"]}',
    api   => '[{"Image": "{{registry}}/haf_api_node/postgrest:{{version}}", "name": "haf-reputation-tracker-postgrest",
                "aliases": ["reputation-tracker-postgrest"], "Env": ["PGRST_DB_URI=..."]},
               {"Image": "{{registry}}/reputation_tracker/postgrest-rewriter:{{version}}"}]');
SELECT hafstack.register_app('my-app', contexts => '{my_app}', app_root => '/srv/my-app',   -- the diagram's convention
    index => 'true', setup => 'true', live_sync => 'true', sync => '"me/my-app-sync:1"', api => '"me/my-app-api:1"');
SELECT hafstack.start();
SELECT name, phase, failed, held, blocks_behind, blocks_per_second, eta FROM hafstack.apps;
SELECT name, place, contexts, counts, names FROM hafstack.app ORDER BY place;
SELECT action, app, by = session_user FROM hafstack.request WHERE xmin = pg_current_xact_id()::xid ORDER BY id;
ROLLBACK;

BEGIN;
SELECT count(hafstack.configure(network => 'haf', vars => '{"v": "1"}'));
SELECT hafstack.register_app('first', contexts => '{first}', sync => '"first:1"');
SELECT hafstack.register_app('second', depends_on => '{first}', place => 10, setup => '"second:1"');
SELECT hafstack.register_app('third', depends_on => '{first,second}', index => '"third:1"', done => '{index}');
SELECT name, place, depends_on, done FROM hafstack.app ORDER BY place;

-- names
SELECT refused($$ SELECT hafstack.register_app('first') $$);
SELECT refused($$ SELECT hafstack.register_app(NULL) $$);
SELECT refused($$ SELECT hafstack.register_app('') $$);
SELECT refused($$ SELECT hafstack.register_app('x') $$);
SELECT refused($$ SELECT hafstack.register_app('no spaces') $$);
SELECT refused($$ SELECT hafstack.register_app('über') $$);
SELECT refused($$ SELECT hafstack.register_app('a/b') $$);
SELECT refused($$ SELECT hafstack.register_app('.hidden') $$);
SELECT refused($$ SELECT hafstack.register_app(repeat('x', 64)) $$);

-- dependencies and places
SELECT refused($$ SELECT hafstack.register_app('fourth', depends_on => '{nobody}') $$);
SELECT refused($$ SELECT hafstack.register_app('fourth', depends_on => '{fourth}') $$);
SELECT refused($$ SELECT hafstack.register_app('fourth', depends_on => '{first,first}') $$);
SELECT refused($$ SELECT hafstack.register_app('fourth', depends_on => '{NULL}') $$);
SELECT refused($$ SELECT hafstack.register_app('fourth', depends_on => '{{first},{second}}') $$);
SELECT refused($$ SELECT hafstack.register_app('fourth', place => 10) $$);
SELECT refused($$ SELECT hafstack.alter_app('first', depends_on => '{first}') $$);
SELECT refused($$ SELECT hafstack.alter_app('first', depends_on => '{second}') $$);
SELECT refused($$ SELECT hafstack.alter_app('first', depends_on => '{third}') $$);
SELECT refused($$ SELECT hafstack.alter_app('first', place => 10) $$);

-- contexts and done
SELECT refused($$ SELECT hafstack.register_app('fourth', contexts => '{""}') $$);
SELECT refused($$ SELECT hafstack.register_app('fourth', contexts => '{NULL}') $$);
SELECT refused($$ SELECT hafstack.register_app('fourth', contexts => '{a,a}') $$);
SELECT refused($$ SELECT hafstack.register_app('fourth', contexts => ARRAY[repeat('x', 64)]) $$);
SELECT refused($$ SELECT hafstack.register_app('fourth', sync => '"x:1"') $$);
SELECT refused($$ SELECT hafstack.alter_app('first', contexts => '{}') $$);
SELECT refused($$ SELECT hafstack.register_app('fourth', done => '{sync}') $$);
SELECT refused($$ SELECT hafstack.register_app('fourth', done => '{nonesuch}') $$);
SELECT hafstack.register_app('fourth', sync => '"x:1"', live_sync => '"y:1"');

-- two containers of one name
SELECT refused($$ SELECT hafstack.register_app('fifth', setup => '{"Image": "x:1", "name": "haf-first-sync"}') $$);
SELECT refused($$ SELECT hafstack.register_app('fifth', setup => '{"Image": "x:1", "name": "haf-recovery"}') $$);
SELECT refused($$ SELECT hafstack.register_app('fifth', setup => '{"Image": "x:1", "name": "same"}', api => '{"Image": "x:1", "name": "same"}') $$);
SELECT refused($$ SELECT hafstack.register_app('fourth-live', contexts => '{a}', sync => '"x:1"') $$);
SELECT hafstack.register_app('fourth-live');
SELECT refused($$ SELECT hafstack.alter_app('fourth-live', contexts => '{a}', sync => '"x:1"') $$);

-- alter_app: what is given changes
SELECT hafstack.alter_app('second', image => 'base:{{v}}', api => '["a:1", {}]', contexts => '{c1,c2}', wait_for_indexes => true);
SELECT generation, spec_version, place, contexts, image, setup, api, counts, names, wait_for_indexes FROM hafstack.app WHERE name = 'second';
SELECT hafstack.alter_app('second', setup => 'null', place => 5, contexts => '{}', depends_on => '{}');
SELECT generation, spec_version, place, contexts, depends_on, image, setup, api, counts, names FROM hafstack.app WHERE name = 'second';
SELECT hafstack.alter_app('second', place => 6);
SELECT generation, spec_version, place FROM hafstack.app WHERE name = 'second';
SELECT action, app, detail FROM hafstack.request WHERE action = 'alter_app' AND xmin = pg_current_xact_id()::xid ORDER BY id;
SELECT refused($$ SELECT hafstack.alter_app('second', image => '') $$);

-- apps that are not there
SELECT refused($$ SELECT hafstack.alter_app('nobody', place => 1) $$);
SELECT refused($$ SELECT hafstack.remove_app('nobody') $$);
SELECT refused($$ SELECT hafstack.remove_app(NULL) $$);
SELECT refused($$ SELECT hafstack.hold('nobody') $$);
SELECT refused($$ SELECT hafstack.release('nobody') $$);
SELECT refused($$ SELECT hafstack.retry('nobody') $$);
SELECT refused($$ SELECT hafstack.skip('nobody') $$);
SELECT refused($$ SELECT hafstack.reset('nobody') $$);
SELECT refused($$ SELECT hafstack.reset(NULL) $$);
SELECT refused($$ SELECT hafstack.logs('nobody', 'sync') $$);

-- remove_app: the worker does it
SELECT refused($$ SELECT hafstack.remove_app('first') $$);
SELECT hafstack.remove_app('third');
SELECT hafstack.remove_app('third');
SELECT name, removing FROM hafstack.app WHERE removing;
SELECT refused($$ SELECT hafstack.register_app('third') $$);
SELECT refused($$ SELECT hafstack.alter_app('third', place => 77) $$);
SELECT refused($$ SELECT hafstack.register_app('fifth', depends_on => '{third}') $$);
SELECT refused($$ SELECT hafstack.reset('third') $$);
SELECT hafstack.remove_app('first');
ROLLBACK;

-- the empty search_path and a hostile one are all the same to us
BEGIN;
CREATE SCHEMA trap;
CREATE FUNCTION trap.coalesced(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE FUNCTION trap.concat_ws(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE FUNCTION trap.current_setting(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE OPERATOR trap.= (FUNCTION = trap.coalesced, LEFTARG = text, RIGHTARG = text);
CREATE TEMP TABLE app (name text);
CREATE TEMP TABLE pg_class (oid oid);
SET LOCAL search_path = trap, pg_temp, pg_catalog;
SELECT hafstack.register_app('safe', contexts => '{a}', sync => '"x:1"', depends_on => '{}');
SELECT hafstack.alter_app('safe', done => '{setup}');
SELECT hafstack.start();
SELECT hafstack.status() IS NOT NULL;
SET LOCAL search_path = '';
SELECT hafstack.remove_app('safe');
ROLLBACK;
