--
-- CREATE EXTENSION and what it brings
--
CREATE EXTENSION hafstack;
DROP EXTENSION hafstack;
CREATE EXTENSION hafstack;
SELECT hafstack.version() = extversion AS version_fits FROM pg_extension WHERE extname = 'hafstack';

-- somebody else's schema is not taken over; which line of the script says so is shown since 18
DROP EXTENSION hafstack;
SELECT count(*) FROM pg_namespace WHERE nspname = 'hafstack';
CREATE SCHEMA hafstack;
\set SHOW_CONTEXT never
CREATE EXTENSION hafstack;
\set SHOW_CONTEXT errors
DROP SCHEMA hafstack;
CREATE EXTENSION hafstack;

-- everything people see
\pset format unaligned
SELECT p.proname || '(' || pg_get_function_arguments(p.oid) || ')' AS routine, p.prosecdef AS definer,
	pg_get_function_result(p.oid) AS returns
FROM pg_proc AS p
WHERE p.pronamespace = 'hafstack'::regnamespace AND obj_description(p.oid, 'pg_proc') NOT LIKE 'internal:%'
ORDER BY p.proname COLLATE "C";
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'hafstack.apps'::regclass AND attnum > 0 ORDER BY attnum;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'hafstack.event'::regclass AND attnum > 0 ORDER BY attnum;

\pset format aligned

-- no object without a comment
SELECT 'schema' AS kind, nspname AS name FROM pg_namespace
WHERE nspname = 'hafstack' AND obj_description(oid, 'pg_namespace') IS NULL
UNION ALL
SELECT 'routine', oid::regprocedure::text FROM pg_proc
WHERE pronamespace = 'hafstack'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
UNION ALL
SELECT 'relation', oid::regclass::text FROM pg_class
WHERE relnamespace = 'hafstack'::regnamespace AND relkind IN ('r', 'v', 'S')
	AND obj_description(oid, 'pg_class') IS NULL
UNION ALL
SELECT 'column', attrelid::regclass || '.' || attname FROM pg_attribute
WHERE attrelid IN ('hafstack.event'::regclass, 'hafstack.apps'::regclass) AND attnum > 0
	AND col_description(attrelid, attnum) IS NULL;

-- a definer's function never looks where its caller points it
SELECT oid::regprocedure FROM pg_proc
WHERE pronamespace = 'hafstack'::regnamespace AND prosecdef
	AND NOT coalesce(proconfig @> '{"search_path=pg_catalog, pg_temp"}', false);

-- pg_dump carries every table and sequence
SELECT c.oid::regclass FROM pg_class AS c
WHERE c.relnamespace = 'hafstack'::regnamespace AND c.relkind IN ('r', 'S')
	AND c.oid <> ALL ((SELECT extconfig FROM pg_extension WHERE extname = 'hafstack')::oid[]);

-- the stack's row is not the install script's work, and status() does without
SELECT count(*) FROM hafstack.stack;
SELECT s->>'phase' AS phase, s->'running' AS running, s->>'topology' AS topology, s->'apps' AS apps, s->'haf'->'containers' AS haf
FROM hafstack.status() AS s;

--
-- For the tests that follow: a statement's error, and whether it left a trace
--
CREATE FUNCTION wanted() RETURNS text LANGUAGE sql AS $$
	SELECT md5(concat(
		(SELECT string_agg(concat_ws('|', s.generation, hafstack.settings_json(s), s.postgres_url, s.running, s.paused,
			s.haf_counts, s.haf_names), '') FROM hafstack.stack AS s),
		(SELECT string_agg(a::text, '' ORDER BY a.name) FROM hafstack.app AS a)))
$$;
CREATE FUNCTION refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before text := wanted();
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', sqlstate || ': ' || message, 'DETAIL: ' || nullif(detail, ''),
		'HINT: ' || nullif(hint, ''), CASE WHEN wanted() IS DISTINCT FROM before THEN 'AND IT LEFT A TRACE' END);
END
$$;
