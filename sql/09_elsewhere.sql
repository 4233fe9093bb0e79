--
-- In a database that no worker looks after
--
\pset format unaligned
\pset tuples_only on
SELECT current_database() AS home \gset
CREATE DATABASE regress_haf_elsewhere;
\c regress_haf_elsewhere
CREATE EXTENSION hafstack;
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT hafstack.version() IS NOT NULL;
SELECT s->'worker'->'running', s->'worker'->>'last_error', s->>'waiting_for' FROM hafstack.status() AS s;
SELECT count(*) FROM hafstack.apps;
SELECT hafstack.configure();
\echo :LAST_ERROR_SQLSTATE
SELECT hafstack.register_app('app');
\echo :LAST_ERROR_SQLSTATE
SELECT hafstack.start();
\echo :LAST_ERROR_SQLSTATE
SELECT hafstack.stop();
SELECT hafstack.retry(NULL);
SELECT hafstack.hold('app');
CALL hafstack.wait_for(NULL, 'live');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM hafstack.stack;
SELECT count(*) FROM hafstack.request;
\c :home
DROP DATABASE regress_haf_elsewhere;

--
-- And away with it
--
DROP FUNCTION refused(text);
DROP FUNCTION wanted();
DROP EXTENSION hafstack;
SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace('hafstack');
