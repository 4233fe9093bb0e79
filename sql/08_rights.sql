--
-- Who may do what
--
\pset format unaligned
\pset tuples_only on
-- nothing is PUBLIC's
SELECT 'routine', p.oid::regprocedure::text FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
WHERE p.pronamespace = 'hafstack'::regnamespace AND a.grantee = 0
UNION ALL
SELECT 'relation', c.oid::regclass::text FROM pg_class AS c, aclexplode(c.relacl) AS a
WHERE c.relnamespace = 'hafstack'::regnamespace AND a.grantee = 0
UNION ALL
SELECT 'schema', n.nspname FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
WHERE n.nspname = 'hafstack' AND a.grantee = 0;

CREATE ROLE regress_haf_plain;
CREATE ROLE regress_haf_monitor IN ROLE pg_monitor;
CREATE ROLE regress_haf_admin;
GRANT USAGE ON SCHEMA hafstack TO regress_haf_admin;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA hafstack TO regress_haf_admin;

-- a statement's SQLSTATE as somebody else
CREATE FUNCTION tried(who name, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', who);
	EXECUTE statement;
	RESET ROLE;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate;
END
$$;
CREATE TABLE statements (id serial, statement text);
INSERT INTO statements (statement) VALUES
	('SELECT hafstack.status()'), ('SELECT * FROM hafstack.apps'), ('SELECT * FROM hafstack.event'),
	('SELECT hafstack.version()'), ('SELECT hafstack.configure(network => ''haf'')'),
	('SELECT hafstack.register_app(''rights'', setup => ''"x:1"'')'), ('SELECT hafstack.alter_app(''rights'', place => 900)'),
	('SELECT hafstack.hold(''rights'')'), ('SELECT hafstack.release(''rights'')'), ('SELECT hafstack.start()'),
	('SELECT hafstack.pause()'), ('SELECT hafstack.resume()'), ('SELECT hafstack.stop()'), ('SELECT hafstack.reset(''rights'')'),
	('SELECT hafstack.logs(''rights'', ''setup'')'), ('SELECT hafstack.retry(''rights'')'), ('SELECT hafstack.skip(''rights'')'),
	('SELECT hafstack.remove_app(''rights'')'),
	('SELECT * FROM hafstack.stack'), ('SELECT * FROM hafstack.app'), ('SELECT * FROM hafstack.container'),
	('SELECT * FROM hafstack.request'), ('SELECT * FROM hafstack.app_now'), ('SELECT nextval(''hafstack.run_seq'')'),
	('INSERT INTO hafstack.event (kind) VALUES (''phase'')'), ('INSERT INTO hafstack.request (action) VALUES (''stop'')'),
	('DELETE FROM hafstack.event'), ('UPDATE hafstack.stack SET running = true'),
	('SELECT hafstack.note_request(''retry'', NULL)'), ('SELECT hafstack.set_paused(true, ''pause'')'),
	('SELECT hafstack.hived_seen()'), ('SELECT hafstack.current_stack()'), ('CREATE TABLE hafstack.mine ()');
BEGIN;
SELECT statement, tried('regress_haf_plain', statement) AS plain, tried('regress_haf_monitor', statement) AS monitor,
	tried('regress_haf_admin', statement) AS admin
FROM statements ORDER BY id;
-- whoever was logged in gets the blame, not the functions' owner
SELECT DISTINCT by = session_user FROM hafstack.request WHERE xmin IS NOT NULL;
ROLLBACK;

-- wait_for() is a procedure, which ON ALL FUNCTIONS does not reach
SELECT hafstack.register_app('rights');
SET ROLE regress_haf_admin;
CALL hafstack.wait_for('rights', 'registered');
RESET ROLE;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA hafstack TO regress_haf_admin;
SET ROLE regress_haf_admin;
CALL hafstack.wait_for('rights', 'registered');
RESET ROLE;

DROP TABLE statements;
DROP FUNCTION tried(name, text);
DROP OWNED BY regress_haf_admin;
DROP ROLE regress_haf_plain, regress_haf_monitor, regress_haf_admin;
