--
-- wait_for()
--
-- without a stack's row the worker leaves everything alone
DROP EXTENSION hafstack;
CREATE EXTENSION hafstack;
SELECT hafstack.register_app('early', setup => '"x:1"', api => '"x:1"');
SELECT hafstack.register_app('no-api', setup => '"x:1"');

-- reached or passed
CALL hafstack.wait_for('early', 'registered');
CALL hafstack.wait_for(NULL, 'idle');
CALL hafstack.wait_for(app => 'early', phase => 'registered', timeout => '1 hour');

-- errors, each with its own SQLSTATE
CALL hafstack.wait_for('early', 'setup_done', '1 ms');
\echo :LAST_ERROR_SQLSTATE
CALL hafstack.wait_for('early', 'setup_done', '-1 hour');
\echo :LAST_ERROR_SQLSTATE
CALL hafstack.wait_for(NULL, 'live', '1 ms');
\echo :LAST_ERROR_SQLSTATE
CALL hafstack.wait_for('no-api', 'serving', '1 ms');
\echo :LAST_ERROR_SQLSTATE
CALL hafstack.wait_for('nobody', 'live', '1 ms');
\echo :LAST_ERROR_SQLSTATE
CALL hafstack.wait_for('early', 'nonesuch', '1 ms');
\echo :LAST_ERROR_SQLSTATE
CALL hafstack.wait_for(NULL, 'serving', '1 ms');
\echo :LAST_ERROR_SQLSTATE
CALL hafstack.wait_for('early', NULL, '1 ms');
\echo :LAST_ERROR_SQLSTATE
BEGIN;
CALL hafstack.wait_for('early', 'registered');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
DO $$ BEGIN CALL hafstack.wait_for('early', 'registered'); END $$;
DO $$ BEGIN CALL hafstack.wait_for('early', 'live', '10 ms'); EXCEPTION WHEN OTHERS THEN RAISE NOTICE '%', sqlstate; END $$;
SET statement_timeout = '50 ms';
CALL hafstack.wait_for('early', 'live', '1 hour');
\echo :LAST_ERROR_SQLSTATE
RESET statement_timeout;

-- failures and removals; a phase that was reached counts all the same
UPDATE hafstack.app SET phase = 'app_setup', failed = true, error = 'it broke' WHERE name = 'early';
CALL hafstack.wait_for('early', 'setup_done');
\echo :LAST_ERROR_SQLSTATE
CALL hafstack.wait_for('early', 'app_setup');
UPDATE hafstack.app SET removing = true WHERE name = 'early';
CALL hafstack.wait_for('early', 'setup_done');
\echo :LAST_ERROR_SQLSTATE
UPDATE hafstack.app SET phase = 'registered', failed = false, error = NULL, removing = false WHERE name = 'early';

-- what wait_for() goes by
BEGIN;
UPDATE hafstack.app SET phase = 'app_setup', failed = true, error = 'it broke', current_run = run WHERE name = 'early';
SELECT * FROM hafstack.standing('early');
-- a reset or a retry that the worker has not taken in yet counts
SELECT hafstack.retry('early');
SELECT failed FROM hafstack.standing('early');
DELETE FROM hafstack.request;
SELECT hafstack.reset('early');
SELECT phase, failed FROM hafstack.standing('early');
SELECT count(*) FROM hafstack.standing('nobody');
SELECT phase, failed, passed_idle FROM hafstack.standing(NULL);
-- after stop() idle is to be waited for, before it is long past
SELECT hafstack.start();
UPDATE hafstack.stack SET phase = 'live';
SELECT hafstack.remove_app('early');
SELECT removing FROM hafstack.standing('early');
SELECT phase, passed_idle FROM hafstack.standing(NULL);
SELECT hafstack.stop();
SELECT phase, passed_idle FROM hafstack.standing(NULL);
ROLLBACK;

-- nobody who only waits holds back vacuum
\setenv PGDATABASE :DBNAME
\! psql -X -q -c "SET application_name = 'waiter'" -c "CALL hafstack.wait_for('early', 'live', '8 s')" >/dev/null 2>&1 &
CREATE TEMP TABLE seen (asleep boolean, holds boolean, locks bigint);
DO $$
BEGIN
	FOR i IN 1..100 LOOP
		PERFORM pg_sleep(0.05);
		PERFORM pg_stat_clear_snapshot();
		DELETE FROM seen;
		INSERT INTO seen
		SELECT true, a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL,
			(SELECT count(*) FROM pg_locks AS l WHERE l.pid = a.pid AND l.locktype <> 'virtualxid')
		FROM pg_stat_activity AS a
		WHERE a.application_name = 'waiter' AND a.wait_event_type = 'Extension';
		EXIT WHEN FOUND;
	END LOOP;
END
$$;
SELECT * FROM seen;
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'waiter';

-- what the worker publishes: every app, no other
SELECT count(hafstack.configure());
DO $$
BEGIN
	FOR i IN 1..200 LOOP
		EXIT WHEN (SELECT count(*) FROM hafstack.progress()) = 2;
		PERFORM pg_sleep(0.05);
	END LOOP;
END
$$;
SELECT app FROM hafstack.progress() ORDER BY app;
SELECT s->'worker'->'running' AS running FROM hafstack.status() AS s;
