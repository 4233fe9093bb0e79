/* hafstack--0.1.0.sql: catalog and functions; interface.md has every name */

\echo Use "CREATE EXTENSION hafstack" to load this file. \quit

/*
 * Ours alone, and gone with DROP EXTENSION; one that exists already is an error,
 * for its owner could slip in overloads of the functions below.
 */
CREATE SCHEMA hafstack;

/*
 * ---- Catalog ----------------------------------------------------------
 *
 * Wanted and actual are different columns.  Functions called from SQL write
 * only what is wanted and add to generation; the worker alone writes the rest.
 */
CREATE SEQUENCE hafstack.run_seq;

CREATE TABLE hafstack.stack (
	singleton		boolean PRIMARY KEY DEFAULT true CHECK (singleton),
	id				uuid NOT NULL DEFAULT gen_random_uuid(),
	-- wanted
	generation		bigint NOT NULL DEFAULT 1,
	spec_version	bigint NOT NULL DEFAULT 1,
	name			text NOT NULL DEFAULT 'haf',
	topology		text NOT NULL DEFAULT 'external' CHECK (topology IN ('external', 'bundled')),
	postgres_url	text,
	network			text,
	haf_image		text,
	helper_image	text NOT NULL DEFAULT 'postgres:17',
	haf				jsonb,
	haf_live_sync	jsonb,
	haf_counts		int[] NOT NULL DEFAULT '{0,0}',	-- containers of instance, live_sync
	haf_names		text[] NOT NULL DEFAULT '{}',	-- of all those containers
	haf_live_when	text NOT NULL DEFAULT 'live' CHECK (haf_live_when IN ('live', 'instance_ready')),
	defaults		jsonb,
	vars			jsonb,
	running			boolean NOT NULL DEFAULT false,
	paused			boolean NOT NULL DEFAULT false,
	force_stop		boolean NOT NULL DEFAULT false,
	restart_haf		boolean NOT NULL DEFAULT false,	-- bundled: hived may be stopped for index builds
	-- whose database this is; written by configure() and start()
	system_identifier	bigint NOT NULL,
	database		oid NOT NULL,
	-- actual
	engine			text,			-- the Engine's ID; taken at the first connection
	phase			text NOT NULL DEFAULT 'idle'
					CHECK (phase IN ('idle', 'preflight', 'index_build', 'haf_sync', 'app_setup', 'app_sync', 'live')),
	since			timestamptz NOT NULL DEFAULT now(),
	failed			boolean NOT NULL DEFAULT false,
	error			text,
	haf_failed		boolean NOT NULL DEFAULT false,
	haf_error		text,
	haf_checked_version	bigint NOT NULL DEFAULT 0	-- preflight passed for this version of HAF's specs
);

CREATE TABLE hafstack.app (
	name			text PRIMARY KEY,
	-- wanted
	generation		bigint NOT NULL DEFAULT 1,
	spec_version	bigint NOT NULL DEFAULT 1,
	place			int NOT NULL UNIQUE,
	contexts		text[] NOT NULL DEFAULT '{}',
	depends_on		text[] NOT NULL DEFAULT '{}',
	app_root		text,
	image			text,
	index			jsonb,
	setup			jsonb,
	sync			jsonb,
	live_sync		jsonb,
	api				jsonb,
	counts			int[] NOT NULL,		-- containers of index, setup, sync, live_sync, api
	names			text[] NOT NULL,	-- of all those containers
	wait_for_indexes	boolean NOT NULL DEFAULT false,
	done			text[] NOT NULL DEFAULT '{}',
	held			boolean NOT NULL DEFAULT false,
	removing		boolean NOT NULL DEFAULT false,
	run				bigint NOT NULL DEFAULT nextval('hafstack.run_seq'),	-- reset() wants a new one
	-- actual
	current_run		bigint,
	phase			text NOT NULL DEFAULT 'registered'
					CHECK (phase IN ('registered', 'index_build', 'index_built', 'app_setup', 'setup_done', 'app_sync', 'live', 'serving')),
	since			timestamptz NOT NULL DEFAULT now(),
	failed			boolean NOT NULL DEFAULT false,
	error			text,
	checked_version	bigint NOT NULL DEFAULT 0
);

-- no two apps may ask for containers of the same name
CREATE INDEX app_names ON hafstack.app USING gin (names) WITH (fastupdate = off);
-- who depends on this app?
CREATE INDEX app_depends_on ON hafstack.app USING gin (depends_on) WITH (fastupdate = off);

CREATE TABLE hafstack.container (
	app				text REFERENCES hafstack.app,	-- null: HAF itself
	role			text NOT NULL CHECK (role IN ('index', 'instance', 'setup', 'sync', 'live_sync', 'api', 'recovery', 'handoff')),
	ordinal			int NOT NULL CHECK (ordinal > 0),
	run				bigint NOT NULL,
	attempt			int NOT NULL DEFAULT 0,		-- containers made so far
	failures		int NOT NULL DEFAULT 0,		-- since the last success, retry or reset
	name			text,
	id				text,						-- Docker's
	image			text,
	spec_version	bigint NOT NULL DEFAULT 0,	-- stack's + app's, when it was created
	state			text NOT NULL
					CHECK (state IN ('waiting', 'creating', 'created', 'starting', 'running', 'exited', 'removing', 'removed')),
	done			boolean NOT NULL DEFAULT false,	-- job: exited 0 or skipped; sync: completed
	failed			boolean NOT NULL DEFAULT false,	-- waits for the operator (a service: is tried all the same)
	stopping		boolean NOT NULL DEFAULT false,	-- was asked to stop, by us
	was_up			boolean NOT NULL DEFAULT false,	-- service: was up (healthy) in this run
	health			text,
	exit_code		int,
	error			text,
	log				text,
	log_stored		boolean NOT NULL DEFAULT false,
	created_seq		bigint NOT NULL DEFAULT 0,	-- order of creation
	created_at		timestamptz,
	started_at		timestamptz,
	finished_at		timestamptz,
	retry_at		timestamptz
);
CREATE UNIQUE INDEX container_step ON hafstack.container (coalesce(app, ''), role, ordinal);

CREATE TABLE hafstack.event (
	seq				bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at				timestamptz NOT NULL DEFAULT clock_timestamp(),
	kind			text NOT NULL
					CHECK (kind IN ('phase', 'haf', 'container', 'failure', 'retry', 'operator', 'engine', 'warning')),
	app				text,
	from_state		text,
	to_state		text,
	detail			text
);

-- what operators asked for and the worker has not taken in yet
CREATE TABLE hafstack.request (
	id				bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at				timestamptz NOT NULL DEFAULT clock_timestamp(),
	by				text NOT NULL DEFAULT session_user,
	action			text NOT NULL,		-- the function's name
	app				text,
	detail			text				-- arguments worth remembering; never a spec
);

/*
 * ---- In C (api.c) -----------------------------------------------------
 */
CREATE FUNCTION hafstack.version() RETURNS text
AS 'MODULE_PATHNAME', 'hafstack_version' LANGUAGE C IMMUTABLE PARALLEL SAFE;

CREATE FUNCTION hafstack.wake() RETURNS void
AS 'MODULE_PATHNAME', 'hafstack_wake' LANGUAGE C VOLATILE;

CREATE FUNCTION hafstack.require_home() RETURNS void
AS 'MODULE_PATHNAME', 'hafstack_require_home' LANGUAGE C VOLATILE;

CREATE FUNCTION hafstack.name_valid(name text) RETURNS boolean
AS 'MODULE_PATHNAME', 'hafstack_name_valid' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION hafstack.check_settings(defaults jsonb, vars jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'hafstack_check_settings' LANGUAGE C VOLATILE;

CREATE FUNCTION hafstack.plan_containers(stack hafstack.stack, app hafstack.app, role text) RETURNS text[]
AS 'MODULE_PATHNAME', 'hafstack_plan_containers' LANGUAGE C VOLATILE;

CREATE FUNCTION hafstack.prunes_blocks(stack hafstack.stack) RETURNS boolean
AS 'MODULE_PATHNAME', 'hafstack_prunes_blocks' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION hafstack.worker_view(OUT pid int, OUT docker_host text, OUT docker_reachable boolean,
	OUT docker_api text, OUT last_error text, OUT waiting_for text, OUT haf_state text, OUT haf_live boolean,
	OUT haf_ready boolean, OUT haf_dirty boolean, OUT haf_irreversible_block bigint,
	OUT haf_block_time timestamptz, OUT haf_observed_at timestamptz, OUT haf_waiting_for text)
AS 'MODULE_PATHNAME', 'hafstack_worker_view' LANGUAGE C VOLATILE;

CREATE FUNCTION hafstack.progress(OUT app text, OUT current_block bigint, OUT blocks_behind bigint,
	OUT blocks_per_second float8, OUT eta_seconds float8, OUT waiting_for text) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'hafstack_progress' LANGUAGE C VOLATILE;

-- no SET clause, no SECURITY DEFINER: either would make its commits impossible
CREATE PROCEDURE hafstack.wait_for(app text, phase text, timeout interval DEFAULT NULL)
AS 'MODULE_PATHNAME', 'hafstack_wait_for' LANGUAGE C;

/*
 * ---- Helpers ----------------------------------------------------------
 *
 * Called by the functions further down, with the rights that those have.
 */
CREATE FUNCTION hafstack.current_stack() RETURNS hafstack.stack
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stack hafstack.stack;
BEGIN
	SELECT s.* INTO stack FROM hafstack.stack AS s;
	IF NOT FOUND THEN
		stack.name := 'haf';
		stack.topology := 'external';
		stack.helper_image := 'postgres:17';
		stack.haf_live_when := 'live';
		stack.haf_counts := '{0,0}';
		stack.haf_names := '{}';
		stack.spec_version := 0;
		stack.phase := 'idle';
		stack.running := false;
		stack.paused := false;
		stack.restart_haf := false;
		stack.failed := false;
		stack.haf_failed := false;
		stack.system_identifier := (SELECT c.system_identifier FROM pg_control_system() AS c);
		stack.database := (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
	END IF;
	RETURN stack;
END
$$;

/*
 * Changing functions take turns, so what one has checked still holds when it
 * writes.  Of the locks that exclude themselves this is the weakest: neither the
 * worker nor any reader ever waits for it.
 */
CREATE FUNCTION hafstack.begin_change() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM hafstack.require_home();
	LOCK TABLE ONLY hafstack.stack IN SHARE UPDATE EXCLUSIVE MODE;
END
$$;

CREATE FUNCTION hafstack.note_request(action text, app text, detail text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO hafstack.request (action, app, detail)
	VALUES (note_request.action, note_request.app, note_request.detail);
	PERFORM hafstack.wake();
END
$$;

CREATE FUNCTION hafstack.begin_app_change(name text) RETURNS hafstack.app
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	app hafstack.app;
BEGIN
	PERFORM hafstack.begin_change();
	IF begin_app_change.name IS NULL THEN
		RAISE EXCEPTION 'the name of an app must not be null'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	SELECT a.* INTO app FROM hafstack.app AS a WHERE a.name = begin_app_change.name;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'app "%" does not exist', begin_app_change.name
			USING ERRCODE = 'undefined_object',
				HINT = 'The view hafstack.apps lists all that are registered.';
	END IF;
	IF app.removing THEN
		RAISE EXCEPTION 'app "%" is being removed', app.name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Wait until it is gone from hafstack.apps; it can then be registered again.';
	END IF;
	RETURN app;
END
$$;

-- an app, or HAF where there is none, as messages name it
CREATE FUNCTION hafstack.who(app text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT coalesce('app "' || app || '"', 'HAF') $$;

CREATE FUNCTION hafstack.check_name(what text, name text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF check_name.name IS NULL THEN
		RAISE EXCEPTION 'the name of % must not be null', what
			USING ERRCODE = 'null_value_not_allowed';
	ELSIF NOT hafstack.name_valid(check_name.name) THEN
		RAISE EXCEPTION '"%" cannot be the name of %', left(check_name.name, 100), what
			USING ERRCODE = 'invalid_name',
				HINT = 'A name has 2 to 62 characters: letters and digits of ASCII, "_", "." and "-", the first a letter or digit.';
	END IF;
END
$$;

CREATE FUNCTION hafstack.check_list(what text, list text[], allowed text[] DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	word text;
	seen text[] := '{}';
BEGIN
	IF array_ndims(list) > 1 THEN
		RAISE EXCEPTION '% must be a list, not an array of arrays', what
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	FOREACH word IN ARRAY list
	LOOP
		IF word IS NULL OR word = '' THEN
			RAISE EXCEPTION '% must not contain null or empty names', what
				USING ERRCODE = 'invalid_parameter_value';
		ELSIF octet_length(word) > 63 THEN
			RAISE EXCEPTION 'name "%" in % is longer than 63 bytes', left(word, 100), what
				USING ERRCODE = 'invalid_parameter_value';
		ELSIF word = ANY (seen) THEN
			RAISE EXCEPTION '% names "%" twice', what, word
				USING ERRCODE = 'invalid_parameter_value';
		ELSIF word <> ALL (allowed) THEN
			RAISE EXCEPTION '"%" cannot be in %', word, what
				USING ERRCODE = 'invalid_parameter_value',
					HINT = format('What can be there: %s.', array_to_string(allowed, ', '));
		END IF;
		seen := seen || word;
	END LOOP;
END
$$;

CREATE FUNCTION hafstack.check_dependencies(app text, depends_on text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	missing text;
	leaving text;
	via text;
BEGIN
	SELECT d INTO missing FROM unnest(check_dependencies.depends_on) AS d
	WHERE d <> check_dependencies.app AND NOT EXISTS (SELECT FROM hafstack.app AS a WHERE a.name = d);
	IF FOUND THEN
		RAISE EXCEPTION 'app "%", which app "%" is to depend on, does not exist', missing, check_dependencies.app
			USING ERRCODE = 'undefined_object', HINT = 'Register it first.';
	END IF;
	SELECT a.name INTO leaving FROM hafstack.app AS a
	WHERE a.name = ANY (check_dependencies.depends_on) AND a.removing;
	IF FOUND THEN
		RAISE EXCEPTION 'app "%", which app "%" is to depend on, is being removed', leaving, check_dependencies.app
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	WITH RECURSIVE need (via, name) AS (
		SELECT d, d FROM unnest(check_dependencies.depends_on) AS d
		UNION
		SELECT n.via, d
		FROM need AS n JOIN hafstack.app AS a ON a.name = n.name, unnest(a.depends_on) AS d
		WHERE n.name <> check_dependencies.app
	)
	SELECT n.via INTO via FROM need AS n WHERE n.name = check_dependencies.app ORDER BY n.via LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'app "%" cannot depend on %', check_dependencies.app,
			CASE WHEN via = check_dependencies.app THEN 'itself'
				ELSE hafstack.who(via) || ', which depends on it' END
			USING ERRCODE = 'invalid_object_definition';
	END IF;
END
$$;

-- names that HAF's own containers have or may get
CREATE FUNCTION hafstack.haf_names(stack hafstack.stack) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (stack).haf_names || ARRAY[(stack).name || '-instance', (stack).name || '-live-sync',
									  (stack).name || '-recovery', (stack).name || '-handoff']
$$;

CREATE FUNCTION hafstack.refuse_name(name text, app text, other text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE EXCEPTION 'a container of % would be named "%", as one of %',
		hafstack.who(app),
		refuse_name.name,
		CASE WHEN other = app THEN 'the same app'
			WHEN other IS NULL THEN 'HAF itself' ELSE hafstack.who(other) END
		USING ERRCODE = 'duplicate_object',
			HINT = 'Names are <stack>-<app>-<role>; the key "name" in a spec gives a container another.';
END
$$;

-- no name that is in use elsewhere, none twice
CREATE FUNCTION hafstack.check_names(stack hafstack.stack, app hafstack.app) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	clash record;
BEGIN
	SELECT n AS name, (app).name AS other INTO clash
	FROM unnest((app).names) AS n GROUP BY n HAVING count(*) > 1;
	IF FOUND THEN
		PERFORM hafstack.refuse_name(clash.name, (app).name, clash.other);
	END IF;
	SELECT n AS name INTO clash
	FROM unnest((app).names) AS n WHERE n = ANY (hafstack.haf_names(stack));
	IF FOUND THEN
		PERFORM hafstack.refuse_name(clash.name, (app).name, NULL);
	END IF;
	SELECT n AS name, a.name AS other INTO clash
	FROM hafstack.app AS a, unnest(a.names) AS n
	WHERE a.names && (app).names AND a.name <> (app).name AND n = ANY ((app).names);
	IF FOUND THEN
		PERFORM hafstack.refuse_name(clash.name, (app).name, clash.other);
	END IF;
END
$$;

-- the app with counts and names filled in, or the first error in its specs
CREATE FUNCTION hafstack.plan_app(stack hafstack.stack, app hafstack.app) RETURNS hafstack.app
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	role text;
	planned text[];
BEGIN
	app.counts := '{}';
	app.names := '{}';
	FOREACH role IN ARRAY '{index,setup,sync,live_sync,api}'::text[]
	LOOP
		planned := hafstack.plan_containers(stack, app, role);
		app.counts := app.counts || cardinality(planned);
		app.names := app.names || planned;
	END LOOP;
	RETURN app;
END
$$;

CREATE FUNCTION hafstack.hived_seen(OUT connected boolean, OUT pruning int)
VOLATILE SET lock_timeout = '1s'
AS 'MODULE_PATHNAME', 'hafstack_hived_seen' LANGUAGE C;

-- bundled: a late index role may wait for start(restart_haf => true); must_run: it is to run now
CREATE FUNCTION hafstack.check_index_possible(app text, must_run boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	why text;
BEGIN
	IF (hafstack.current_stack()).topology = 'bundled' AND NOT must_run THEN
		RETURN;
	ELSIF (hafstack.hived_seen()).connected THEN
		why := 'hived has connected to this database';
	ELSIF (hafstack.current_stack()).phase IN ('haf_sync', 'app_setup', 'app_sync', 'live') THEN
		why := 'the stack is past its index builds';
	ELSE
		RETURN;
	END IF;
	RAISE EXCEPTION 'the index role of app "%" can no longer run: %', check_index_possible.app, why
		USING ERRCODE = 'object_not_in_prerequisite_state',
			DETAIL = 'Index roles build on HAF''s empty tables, before hived fills them.',
			HINT = 'Register the indexes in the app''s setup with hive.register_index_dependency(), or, in the bundled topology, call hafstack.start(restart_haf => true). If they are there already, say so: done => ''{index}''.';
END
$$;

-- everything a registered app must be; old is null for a new one
CREATE FUNCTION hafstack.check_app(old hafstack.app, new hafstack.app) RETURNS hafstack.app
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stack hafstack.stack := hafstack.current_stack();
	other text;
BEGIN
	PERFORM hafstack.check_list('contexts', new.contexts);
	PERFORM hafstack.check_list('depends_on', new.depends_on);
	PERFORM hafstack.check_list('done', new.done, '{index,setup,live_sync}');
	PERFORM hafstack.check_dependencies(new.name, new.depends_on);
	SELECT a.name INTO other FROM hafstack.app AS a WHERE a.place = new.place AND a.name <> new.name;
	IF FOUND THEN
		RAISE EXCEPTION 'place % of app "%" is taken by app "%"', new.place, new.name, other
			USING ERRCODE = 'unique_violation',
				HINT = 'Give another place, or none: then it comes last.';
	END IF;

	new := hafstack.plan_app(stack, new);
	IF new.counts[3] > 0 AND new.counts[4] = 0 AND cardinality(new.contexts) = 0 THEN
		RAISE EXCEPTION 'app "%" has a sync, but nothing tells when it is live', new.name
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Name the contexts that it moves, or give it a live_sync detector.';
	END IF;
	PERFORM hafstack.check_names(stack, new);

	-- a role that waits already was checked when it came
	IF new.counts[1] > 0 AND 'index' <> ALL (new.done)
		AND coalesce(old.phase, 'registered') IN ('registered', 'index_build')
		AND (old.counts IS NULL OR old.counts[1] = 0 OR 'index' = ANY (old.done))
	THEN
		PERFORM hafstack.check_index_possible(new.name);
	END IF;
	RETURN new;
END
$$;

CREATE FUNCTION hafstack.masked_url(url text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT regexp_replace(
		regexp_replace(url, '^([^:/]*://[^:@/?]*):.*@', '\1:***@'),
		'(password\s*=\s*)(''([^''\\]|\\.)*''|[^&\s]*)', '\1***', 'gi')
$$;

CREATE FUNCTION hafstack.settings_json(stack hafstack.stack) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object(
		'name', (stack).name, 'topology', (stack).topology,
		'postgres_url', hafstack.masked_url((stack).postgres_url), 'network', (stack).network,
		'haf_image', (stack).haf_image, 'helper_image', (stack).helper_image,
		'haf', (stack).haf, 'haf_live_sync', (stack).haf_live_sync, 'haf_live_when', (stack).haf_live_when,
		'defaults', (stack).defaults, 'vars', (stack).vars)
$$;

-- where new settings are compared with what goes on
CREATE FUNCTION hafstack.check_settings_change(old hafstack.stack, new hafstack.stack) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM hafstack.check_name('the stack', new.name);
	IF new.topology NOT IN ('external', 'bundled') THEN
		RAISE EXCEPTION 'topology "%" does not exist', new.topology
			USING ERRCODE = 'invalid_parameter_value', HINT = 'It is external or bundled.';
	END IF;
	IF new.haf_live_when NOT IN ('live', 'instance_ready') THEN
		RAISE EXCEPTION 'haf_live_when cannot be "%"', new.haf_live_when
			USING ERRCODE = 'invalid_parameter_value', HINT = 'It is live or instance_ready.';
	END IF;
	IF (new.name <> old.name OR new.topology <> old.topology) AND (old.running OR old.phase <> 'idle') THEN
		RAISE EXCEPTION 'name and topology cannot change while the stack runs'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Call hafstack.stop() and wait until the stack is idle.';
	END IF;
	IF new.name <> old.name
		AND EXISTS (SELECT FROM hafstack.container AS c WHERE c.state NOT IN ('waiting', 'removed'))
	THEN
		RAISE EXCEPTION 'the name cannot change while containers bear it'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Call hafstack.stop() and wait until status() shows no containers, or remove the apps.';
	END IF;
END
$$;

-- all registered specs once more, under new settings; names may come out new
CREATE FUNCTION hafstack.replan(INOUT stack hafstack.stack)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	instances text[] := hafstack.plan_containers(stack, NULL, 'instance');
	detectors text[] := hafstack.plan_containers(stack, NULL, 'live_sync');
	clash record;
BEGIN
	stack.haf_counts := ARRAY[cardinality(instances), cardinality(detectors)];
	stack.haf_names := instances || detectors;
	SELECT n AS name, NULL AS app INTO clash
	FROM unnest(stack.haf_names) AS n GROUP BY n HAVING count(*) > 1;
	IF FOUND THEN
		PERFORM hafstack.refuse_name(clash.name, NULL, NULL);
	END IF;

	UPDATE hafstack.app AS a
	SET counts = p.counts, names = p.names, generation = a.generation + 1
	FROM hafstack.app AS b, hafstack.plan_app(stack, b) AS p
	WHERE NOT b.removing AND a.name = b.name AND (a.counts, a.names) IS DISTINCT FROM (p.counts, p.names);

	SELECT n AS name, min(u.app) AS app, nullif(max(u.app), min(u.app)) AS other, count(*) > count(u.app) AS haf
	INTO clash
	FROM (SELECT a.name AS app, a.names FROM hafstack.app AS a WHERE NOT a.removing
		UNION ALL
		SELECT NULL, ARRAY(SELECT DISTINCT h FROM unnest(hafstack.haf_names(stack)) AS h)) AS u,
		unnest(u.names) AS n
	GROUP BY n HAVING count(*) > 1;
	IF FOUND THEN
		PERFORM hafstack.refuse_name(clash.name, clash.app,
			CASE WHEN clash.haf THEN NULL ELSE coalesce(clash.other, clash.app) END);
	END IF;
END
$$;

/*
 * ---- Settings ---------------------------------------------------------
 */
CREATE FUNCTION hafstack.configure(name text DEFAULT NULL, topology text DEFAULT NULL,
	postgres_url text DEFAULT NULL, network text DEFAULT NULL, haf_image text DEFAULT NULL,
	helper_image text DEFAULT NULL, haf jsonb DEFAULT NULL, haf_live_sync jsonb DEFAULT NULL,
	haf_live_when text DEFAULT NULL, defaults jsonb DEFAULT NULL, vars jsonb DEFAULT NULL)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	old hafstack.stack;
	new hafstack.stack;
BEGIN
	PERFORM hafstack.begin_change();
	old := hafstack.current_stack();
	new := old;
	new.name := coalesce(configure.name, old.name);
	new.topology := coalesce(configure.topology, old.topology);
	new.postgres_url := nullif(coalesce(configure.postgres_url, old.postgres_url), '');
	new.network := nullif(coalesce(configure.network, old.network), '');
	new.haf_image := nullif(coalesce(configure.haf_image, old.haf_image), '');
	new.helper_image := coalesce(nullif(configure.helper_image, ''), old.helper_image);
	new.haf := nullif(coalesce(configure.haf, old.haf), 'null');
	new.haf_live_sync := nullif(coalesce(configure.haf_live_sync, old.haf_live_sync), 'null');
	new.haf_live_when := coalesce(configure.haf_live_when, old.haf_live_when);
	new.defaults := nullif(coalesce(configure.defaults, old.defaults), 'null');
	new.vars := nullif(coalesce(configure.vars, old.vars), 'null');

	PERFORM hafstack.check_settings_change(old, new);
	PERFORM hafstack.check_settings(new.defaults, new.vars);
	new := hafstack.replan(new);
	-- anything else than haf_live_when goes into containers
	old.haf_live_when := new.haf_live_when;
	IF new IS DISTINCT FROM old THEN
		new.spec_version := new.spec_version + 1;
	END IF;

	INSERT INTO hafstack.stack AS s (spec_version, name, topology, postgres_url, network, haf_image, helper_image,
		haf, haf_live_sync, haf_counts, haf_names, haf_live_when, defaults, vars, system_identifier, database)
	VALUES (greatest(new.spec_version, 1), new.name, new.topology, new.postgres_url, new.network, new.haf_image,
		new.helper_image, new.haf, new.haf_live_sync, new.haf_counts, new.haf_names, new.haf_live_when,
		new.defaults, new.vars, new.system_identifier, new.database)
	ON CONFLICT (singleton) DO UPDATE
	SET generation = s.generation + 1, spec_version = excluded.spec_version, name = excluded.name,
		topology = excluded.topology, postgres_url = excluded.postgres_url, network = excluded.network,
		haf_image = excluded.haf_image, helper_image = excluded.helper_image, haf = excluded.haf,
		haf_live_sync = excluded.haf_live_sync, haf_counts = excluded.haf_counts,
		haf_names = excluded.haf_names, haf_live_when = excluded.haf_live_when,
		defaults = excluded.defaults, vars = excluded.vars;

	-- what was given, by name only: values may be secrets
	PERFORM hafstack.note_request('configure', NULL, nullif(concat_ws(', ',
		CASE WHEN configure.name IS NOT NULL THEN 'name' END,
		CASE WHEN configure.topology IS NOT NULL THEN 'topology' END,
		CASE WHEN configure.postgres_url IS NOT NULL THEN 'postgres_url' END,
		CASE WHEN configure.network IS NOT NULL THEN 'network' END,
		CASE WHEN configure.haf_image IS NOT NULL THEN 'haf_image' END,
		CASE WHEN configure.helper_image IS NOT NULL THEN 'helper_image' END,
		CASE WHEN configure.haf IS NOT NULL THEN 'haf' END,
		CASE WHEN configure.haf_live_sync IS NOT NULL THEN 'haf_live_sync' END,
		CASE WHEN configure.haf_live_when IS NOT NULL THEN 'haf_live_when' END,
		CASE WHEN configure.defaults IS NOT NULL THEN 'defaults' END,
		CASE WHEN configure.vars IS NOT NULL THEN 'vars' END), ''));
	RETURN hafstack.settings_json(new);
END
$$;

/*
 * ---- Apps -------------------------------------------------------------
 */
CREATE FUNCTION hafstack.register_app(name text, contexts text[] DEFAULT NULL, depends_on text[] DEFAULT NULL,
	place int DEFAULT NULL, app_root text DEFAULT NULL, image text DEFAULT NULL, index jsonb DEFAULT NULL,
	setup jsonb DEFAULT NULL, sync jsonb DEFAULT NULL, live_sync jsonb DEFAULT NULL, api jsonb DEFAULT NULL,
	wait_for_indexes boolean DEFAULT NULL, done text[] DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	new hafstack.app;
	leaving boolean;
BEGIN
	PERFORM hafstack.begin_change();
	PERFORM hafstack.check_name('an app', register_app.name);
	SELECT a.removing INTO leaving FROM hafstack.app AS a WHERE a.name = register_app.name;
	IF leaving THEN
		RAISE EXCEPTION 'app "%" is still being removed', register_app.name
			USING ERRCODE = 'object_in_use',
				HINT = 'Wait until it is gone from hafstack.apps.';
	ELSIF FOUND THEN
		RAISE EXCEPTION 'app "%" is registered already', register_app.name
			USING ERRCODE = 'duplicate_object', HINT = 'hafstack.alter_app() changes it.';
	END IF;

	new.name := register_app.name;
	new.contexts := coalesce(register_app.contexts, '{}');
	new.depends_on := coalesce(register_app.depends_on, '{}');
	new.place := coalesce(register_app.place, (SELECT coalesce(max(a.place), 0) + 1 FROM hafstack.app AS a));
	new.app_root := nullif(register_app.app_root, '');
	new.image := nullif(register_app.image, '');
	new.index := nullif(register_app.index, 'null');
	new.setup := nullif(register_app.setup, 'null');
	new.sync := nullif(register_app.sync, 'null');
	new.live_sync := nullif(register_app.live_sync, 'null');
	new.api := nullif(register_app.api, 'null');
	new.wait_for_indexes := coalesce(register_app.wait_for_indexes, false);
	new.done := coalesce(register_app.done, '{}');
	new := hafstack.check_app(NULL, new);

	INSERT INTO hafstack.app (name, place, contexts, depends_on, app_root, image, index, setup, sync, live_sync,
		api, counts, names, wait_for_indexes, done)
	VALUES (new.name, new.place, new.contexts, new.depends_on, new.app_root, new.image, new.index, new.setup,
		new.sync, new.live_sync, new.api, new.counts, new.names, new.wait_for_indexes, new.done);
	PERFORM hafstack.note_request('register_app', new.name);
END
$$;

CREATE FUNCTION hafstack.alter_app(name text, contexts text[] DEFAULT NULL, depends_on text[] DEFAULT NULL,
	place int DEFAULT NULL, app_root text DEFAULT NULL, image text DEFAULT NULL, index jsonb DEFAULT NULL,
	setup jsonb DEFAULT NULL, sync jsonb DEFAULT NULL, live_sync jsonb DEFAULT NULL, api jsonb DEFAULT NULL,
	wait_for_indexes boolean DEFAULT NULL, done text[] DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	old hafstack.app;
	new hafstack.app;
BEGIN
	old := hafstack.begin_app_change(alter_app.name);
	new := old;
	new.contexts := coalesce(alter_app.contexts, old.contexts);
	new.depends_on := coalesce(alter_app.depends_on, old.depends_on);
	new.place := coalesce(alter_app.place, old.place);
	new.app_root := nullif(coalesce(alter_app.app_root, old.app_root), '');
	new.image := nullif(coalesce(alter_app.image, old.image), '');
	new.index := nullif(coalesce(alter_app.index, old.index), 'null');
	new.setup := nullif(coalesce(alter_app.setup, old.setup), 'null');
	new.sync := nullif(coalesce(alter_app.sync, old.sync), 'null');
	new.live_sync := nullif(coalesce(alter_app.live_sync, old.live_sync), 'null');
	new.api := nullif(coalesce(alter_app.api, old.api), 'null');
	new.wait_for_indexes := coalesce(alter_app.wait_for_indexes, old.wait_for_indexes);
	new.done := coalesce(alter_app.done, old.done);
	new := hafstack.check_app(old, new);
	IF (new.app_root, new.image, new.index, new.setup, new.sync, new.live_sync, new.api) IS DISTINCT FROM
		(old.app_root, old.image, old.index, old.setup, old.sync, old.live_sync, old.api)
	THEN
		new.spec_version := old.spec_version + 1;
	END IF;

	UPDATE hafstack.app AS a
	SET generation = a.generation + 1, spec_version = new.spec_version, place = new.place,
		contexts = new.contexts, depends_on = new.depends_on, app_root = new.app_root, image = new.image,
		index = new.index, setup = new.setup, sync = new.sync, live_sync = new.live_sync, api = new.api,
		counts = new.counts, names = new.names, wait_for_indexes = new.wait_for_indexes, done = new.done
	WHERE a.name = new.name;
	PERFORM hafstack.note_request('alter_app', new.name, nullif(concat_ws(', ',
		CASE WHEN alter_app.contexts IS NOT NULL THEN 'contexts' END,
		CASE WHEN alter_app.depends_on IS NOT NULL THEN 'depends_on' END,
		CASE WHEN alter_app.place IS NOT NULL THEN 'place' END,
		CASE WHEN alter_app.app_root IS NOT NULL THEN 'app_root' END,
		CASE WHEN alter_app.image IS NOT NULL THEN 'image' END,
		CASE WHEN alter_app.index IS NOT NULL THEN 'index' END,
		CASE WHEN alter_app.setup IS NOT NULL THEN 'setup' END,
		CASE WHEN alter_app.sync IS NOT NULL THEN 'sync' END,
		CASE WHEN alter_app.live_sync IS NOT NULL THEN 'live_sync' END,
		CASE WHEN alter_app.api IS NOT NULL THEN 'api' END,
		CASE WHEN alter_app.wait_for_indexes IS NOT NULL THEN 'wait_for_indexes' END,
		CASE WHEN alter_app.done IS NOT NULL THEN 'done' END), ''));
END
$$;

-- once there is a stack the worker alone takes rows away: it knows when the last container is gone
CREATE FUNCTION hafstack.remove_app(app text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	dependents text;
BEGIN
	PERFORM hafstack.begin_change();
	IF EXISTS (SELECT FROM hafstack.app AS a WHERE a.name = remove_app.app AND a.removing) THEN
		RETURN;
	END IF;
	PERFORM hafstack.begin_app_change(remove_app.app);
	SELECT string_agg(format('"%s"', a.name), ', ' ORDER BY a.place) INTO dependents
	FROM hafstack.app AS a
	WHERE a.depends_on @> ARRAY[remove_app.app] AND NOT a.removing;
	IF dependents IS NOT NULL THEN
		RAISE EXCEPTION 'app "%" cannot be removed: other apps depend on it', remove_app.app
			USING ERRCODE = 'dependent_objects_still_exist',
				DETAIL = format('Apps that depend on it: %s.', dependents),
				HINT = 'Remove those first, or change their depends_on with hafstack.alter_app().';
	END IF;
	IF EXISTS (SELECT FROM hafstack.stack) THEN
		UPDATE hafstack.app AS a SET removing = true, generation = a.generation + 1
		WHERE a.name = remove_app.app;
	ELSE
		DELETE FROM hafstack.app AS a WHERE a.name = remove_app.app;
	END IF;
	PERFORM hafstack.note_request('remove_app', remove_app.app);
END
$$;

CREATE FUNCTION hafstack.hold(app text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM hafstack.begin_app_change(hold.app);
	UPDATE hafstack.app AS a SET held = true, generation = a.generation + 1 WHERE a.name = hold.app;
	PERFORM hafstack.note_request('hold', hold.app);
END
$$;

CREATE FUNCTION hafstack.release(app text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	held hafstack.app := hafstack.begin_app_change(release.app);
BEGIN
	IF held.held AND held.counts[1] > 0 AND 'index' <> ALL (held.done)
		AND held.phase IN ('registered', 'index_build')
	THEN
		PERFORM hafstack.check_index_possible(held.name);
	END IF;
	UPDATE hafstack.app AS a SET held = false, generation = a.generation + 1 WHERE a.name = release.app;
	PERFORM hafstack.note_request('release', release.app);
END
$$;

CREATE FUNCTION hafstack.retry(app text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	failed boolean;
BEGIN
	IF retry.app IS NULL THEN
		PERFORM hafstack.begin_change();
		failed := (SELECT s.failed OR s.haf_failed FROM hafstack.stack AS s);
	ELSE
		failed := (hafstack.begin_app_change(retry.app)).failed;
	END IF;
	-- one that waits for its next attempt may have it now
	IF failed IS NOT TRUE AND NOT EXISTS (
		SELECT FROM hafstack.container AS c
		WHERE c.app IS NOT DISTINCT FROM retry.app AND NOT c.done AND (c.failed OR c.failures > 0))
	THEN
		RAISE EXCEPTION 'nothing of % has failed', hafstack.who(retry.app)
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'hafstack.status() says what it is waiting for.';
	END IF;
	IF retry.app IS NULL THEN
		UPDATE hafstack.stack AS s SET generation = s.generation + 1;
	ELSE
		UPDATE hafstack.app AS a SET generation = a.generation + 1 WHERE a.name = retry.app;
	END IF;
	PERFORM hafstack.note_request('retry', retry.app);
END
$$;

CREATE FUNCTION hafstack.skip(app text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	role text;
	who text := hafstack.who(skip.app);
BEGIN
	IF skip.app IS NULL THEN
		PERFORM hafstack.begin_change();
	ELSE
		PERFORM hafstack.begin_app_change(skip.app);
	END IF;
	SELECT c.role INTO role
	FROM hafstack.container AS c
	WHERE c.app IS NOT DISTINCT FROM skip.app AND c.failed
	ORDER BY c.role IN ('index', 'setup', 'live_sync') DESC
	LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'no job of % has failed', who
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Only a failed index, setup or live_sync can be skipped.';
	ELSIF role NOT IN ('index', 'setup', 'live_sync') THEN
		RAISE EXCEPTION 'the role % of % is a service and cannot be skipped', role, who
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Mend what is wrong and call hafstack.retry(), or put the app on hold with hafstack.hold().';
	END IF;
	IF skip.app IS NULL THEN
		UPDATE hafstack.stack AS s SET generation = s.generation + 1;
	ELSE
		UPDATE hafstack.app AS a SET generation = a.generation + 1 WHERE a.name = skip.app;
	END IF;
	PERFORM hafstack.note_request('skip', skip.app, role);
END
$$;

CREATE FUNCTION hafstack.reset(app text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	old hafstack.app := hafstack.begin_app_change(reset.app);
BEGIN
	IF old.counts[1] > 0 AND 'index' <> ALL (old.done) THEN
		PERFORM hafstack.check_index_possible(old.name);
	END IF;
	UPDATE hafstack.app AS a SET run = nextval('hafstack.run_seq'), generation = a.generation + 1
	WHERE a.name = reset.app;
	PERFORM hafstack.note_request('reset', reset.app);
END
$$;

/*
 * ---- The stack --------------------------------------------------------
 */
-- start() in this database, with these settings: what speaks against it?
CREATE FUNCTION hafstack.check_start(stack hafstack.stack, restart_haf boolean, take_over boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	pending text;
BEGIN
	IF restart_haf AND stack.topology <> 'bundled' THEN
		RAISE EXCEPTION 'restart_haf works in the bundled topology only'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Call hafstack.start() without it.';
	END IF;
	IF restart_haf AND stack.running AND stack.phase NOT IN ('idle', 'preflight', 'index_build') THEN
		RAISE EXCEPTION 'hived cannot be stopped for index builds while apps use it'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Call hafstack.stop(), wait until the stack is idle, then start again.';
	END IF;
	IF NOT take_over AND (stack.system_identifier <> (SELECT c.system_identifier FROM pg_control_system() AS c)
		OR stack.database <> (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))
	THEN
		RAISE EXCEPTION 'this database was copied from the one that the stack was configured in'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				DETAIL = 'While the original runs, two workers would start the same containers.',
				HINT = 'When the original is out of service, call hafstack.start(take_over => true).';
	END IF;
	IF (hafstack.hived_seen()).pruning > 0 OR hafstack.prunes_blocks(stack) THEN
		RAISE EXCEPTION 'this HAF prunes its blocks'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				DETAIL = 'Apps are set up when HAF is live; by then a pruned node has lost the blocks that they start from.',
				HINT = 'Replay without --psql-prune-blocks.';
	END IF;
	SELECT a.name INTO pending
	FROM hafstack.app AS a JOIN hafstack.app_now AS n ON n.name = a.name
	WHERE a.counts[1] > 0 AND 'index' <> ALL (a.done) AND NOT a.removing AND NOT n.held
		AND a.phase IN ('registered', 'index_build')
	ORDER BY a.place LIMIT 1;
	IF FOUND AND NOT restart_haf AND (hafstack.hived_seen()).connected THEN
		PERFORM hafstack.check_index_possible(pending, true);
	END IF;
END
$$;

CREATE FUNCTION hafstack.start(restart_haf boolean DEFAULT false, take_over boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stack hafstack.stack;
BEGIN
	restart_haf := coalesce(restart_haf, false);
	take_over := coalesce(take_over, false);
	PERFORM hafstack.begin_change();
	stack := hafstack.current_stack();
	PERFORM hafstack.check_start(stack, restart_haf, take_over);
	IF take_over THEN
		SELECT c.system_identifier INTO stack.system_identifier FROM pg_control_system() AS c;
		SELECT d.oid INTO stack.database FROM pg_database AS d WHERE d.datname = current_database();
	END IF;

	INSERT INTO hafstack.stack AS s (running, restart_haf, name, topology, helper_image, system_identifier, database)
	VALUES (true, start.restart_haf, stack.name, stack.topology, stack.helper_image, stack.system_identifier,
		stack.database)
	ON CONFLICT (singleton) DO UPDATE
	SET generation = s.generation + 1, running = true, force_stop = false, restart_haf = excluded.restart_haf,
		system_identifier = excluded.system_identifier, database = excluded.database,
		engine = CASE WHEN take_over THEN NULL ELSE s.engine END;
	IF stack.paused THEN
		RAISE NOTICE 'the stack is paused' USING HINT = 'hafstack.resume() lets it go on.';
	END IF;
	PERFORM hafstack.note_request('start', NULL, nullif(concat_ws(', ',
		CASE WHEN restart_haf THEN 'restart_haf' END, CASE WHEN take_over THEN 'take_over' END), ''));
END
$$;

CREATE FUNCTION hafstack.stop(force boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM hafstack.begin_change();
	-- a stop that was forced stays so until the next start
	UPDATE hafstack.stack AS s
	SET running = false, generation = s.generation + 1,
		force_stop = coalesce(stop.force, false) OR (s.force_stop AND NOT s.running);
	IF FOUND THEN
		PERFORM hafstack.note_request('stop', NULL, CASE WHEN stop.force THEN 'force' END);
	END IF;
END
$$;

CREATE FUNCTION hafstack.set_paused(paused boolean, action text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM hafstack.begin_change();
	UPDATE hafstack.stack AS s SET paused = set_paused.paused, generation = s.generation + 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no stack yet'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'hafstack.configure() or hafstack.start() makes one.';
	END IF;
	PERFORM hafstack.note_request(set_paused.action, NULL);
END
$$;

CREATE FUNCTION hafstack.pause() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT hafstack.set_paused(true, 'pause') $$;

CREATE FUNCTION hafstack.resume() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT hafstack.set_paused(false, 'resume') $$;

/*
 * ---- What can be read -------------------------------------------------
 */
-- everything status() and the view apps say of an app but its containers
CREATE VIEW hafstack.app_now AS
WITH RECURSIVE held (name) AS (
	SELECT a.name FROM hafstack.app AS a WHERE a.held
	UNION
	SELECT a.name FROM held AS h JOIN hafstack.app AS a ON a.depends_on @> ARRAY[h.name]
)
SELECT a.name, a.place, a.phase, a.since, a.failed, h.name IS NOT NULL AS held, a.error,
	CASE
		WHEN p.app IS NOT NULL THEN p.waiting_for
		WHEN a.removing THEN 'its removal'
		WHEN a.held THEN format('on hold: hafstack.release(%L) lets it go on', a.name)
		WHEN h.name IS NOT NULL THEN 'an app that it depends on is on hold'
		WHEN a.phase = 'serving' OR (a.phase = 'live' AND a.counts[5] = 0) THEN NULL
		WHEN a.failed THEN format('it failed: hafstack.retry(%L) tries again', a.name)
		WHEN w.pid IS NULL THEN w.waiting_for
		WHEN (SELECT s.running FROM hafstack.stack AS s) IS NOT TRUE THEN 'the stack is not started: hafstack.start() starts it'
		ELSE 'the worker has not looked at it yet'
	END AS waiting_for,
	p.current_block, p.blocks_behind, p.blocks_per_second,
	make_interval(secs => round(p.eta_seconds::numeric)::float8) AS eta
FROM hafstack.app AS a
	LEFT JOIN held AS h ON h.name = a.name
	LEFT JOIN hafstack.progress() AS p ON p.app = a.name
	CROSS JOIN hafstack.worker_view() AS w;

CREATE VIEW hafstack.apps AS
SELECT name, phase, since, failed, held, waiting_for, blocks_behind, blocks_per_second, eta
FROM hafstack.app_now
ORDER BY place;

-- containers as they are, and as they will be where there is no row yet
CREATE VIEW hafstack.container_now AS
WITH planned AS (
	SELECT a.name AS app, r.role, n.ordinal, a.names[r.before + n.ordinal] AS name, r.role = ANY (a.done) AS done
	FROM hafstack.app AS a
		CROSS JOIN LATERAL (VALUES
			('index', a.counts[1], 0),
			('setup', a.counts[2], a.counts[1]),
			('sync', a.counts[3], a.counts[1] + a.counts[2]),
			('live_sync', a.counts[4], a.counts[1] + a.counts[2] + a.counts[3]),
			('api', a.counts[5], a.counts[1] + a.counts[2] + a.counts[3] + a.counts[4])) AS r (role, count, before)
		CROSS JOIN LATERAL generate_series(1, r.count) AS n (ordinal)
	UNION ALL
	SELECT NULL, r.role, n.ordinal, s.haf_names[r.before + n.ordinal], false
	FROM hafstack.stack AS s
		CROSS JOIN LATERAL (VALUES
			('instance', s.haf_counts[1], 0), ('live_sync', s.haf_counts[2], s.haf_counts[1])) AS r (role, count, before)
		CROSS JOIN LATERAL generate_series(1, r.count) AS n (ordinal)
)
SELECT coalesce(c.app, p.app) AS app, coalesce(c.role, p.role) AS role, coalesce(c.ordinal, p.ordinal) AS ordinal,
	coalesce(c.name, p.name) AS name, c.id, c.image, coalesce(c.state, 'waiting') AS state, c.health,
	coalesce(c.attempt, 0) AS attempt, c.exit_code, c.started_at, c.error
FROM planned AS p
	FULL JOIN hafstack.container AS c
		ON coalesce(c.app, '') = coalesce(p.app, '') AND c.role = p.role AND c.ordinal = p.ordinal
WHERE CASE WHEN c.role IS NULL THEN NOT p.done ELSE p.role IS NOT NULL OR c.state <> 'removed' END;

-- json until the end: jsonb would be taken apart and put together on every level
CREATE FUNCTION hafstack.status() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres SET jit = off
AS $$
	WITH containers AS MATERIALIZED (
		SELECT coalesce(c.app, '') AS app,
			json_agg(json_build_object(
				'role', c.role, 'ordinal', c.ordinal, 'name', c.name, 'id', c.id, 'image', c.image,
				'state', c.state, 'health', c.health, 'attempt', c.attempt, 'exit_code', c.exit_code,
				'started_at', c.started_at, 'error', c.error)
				ORDER BY array_position('{index,setup,instance,sync,live_sync,api,recovery,handoff}', c.role), c.ordinal) AS list
		FROM hafstack.container_now AS c
		GROUP BY 1
	), apps AS (
		SELECT coalesce(json_agg(json_build_object(
			'name', a.name, 'phase', a.phase, 'since', a.since, 'failed', a.failed, 'held', a.held,
			'error', a.error, 'waiting_for', a.waiting_for, 'current_block', a.current_block,
			'blocks_behind', a.blocks_behind, 'blocks_per_second', round(a.blocks_per_second::numeric, 1),
			'eta', a.eta, 'containers', coalesce(c.list, '[]')) ORDER BY a.place), '[]') AS list
		FROM hafstack.app_now AS a LEFT JOIN containers AS c ON c.app = a.name
	)
	SELECT json_build_object(
		'phase', s.phase, 'running', s.running, 'paused', s.paused, 'topology', s.topology,
		'failed', s.failed, 'error', s.error,
		'waiting_for', coalesce(w.waiting_for,
			CASE
				WHEN NOT s.running THEN 'it is not started: hafstack.start() starts it'
				WHEN s.paused THEN 'it is paused: hafstack.resume() lets it go on'
			END),
		'fsync', current_setting('fsync')::boolean,
		'haf', json_build_object(
			'state', w.haf_state, 'live', w.haf_live, 'ready', w.haf_ready, 'dirty', w.haf_dirty,
			'irreversible_block', w.haf_irreversible_block,
			'block_age', date_trunc('second', clock_timestamp() - w.haf_block_time),
			'observed_at', w.haf_observed_at, 'failed', s.haf_failed, 'error', s.haf_error,
			'waiting_for', w.haf_waiting_for,
			'containers', coalesce((SELECT c.list FROM containers AS c WHERE c.app = ''), '[]')),
		'worker', json_build_object(
			'running', w.pid IS NOT NULL, 'pid', w.pid, 'docker_host', w.docker_host,
			'docker_reachable', w.docker_reachable, 'docker_api', w.docker_api, 'last_error', w.last_error),
		'apps', apps.list)::jsonb
	FROM hafstack.current_stack() AS s, hafstack.worker_view() AS w, apps
$$;

CREATE FUNCTION hafstack.logs(app text, role text, ordinal int DEFAULT 1) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	roles text[] := CASE WHEN logs.app IS NULL THEN '{instance,live_sync,recovery,handoff}'
		ELSE '{index,setup,sync,live_sync,api}' END::text[];
	log text;
BEGIN
	IF logs.app IS NOT NULL AND NOT EXISTS (SELECT FROM hafstack.app AS a WHERE a.name = logs.app) THEN
		RAISE EXCEPTION 'app "%" does not exist', logs.app
			USING ERRCODE = 'undefined_object',
				HINT = 'The view hafstack.apps lists all that are registered.';
	END IF;
	IF logs.role IS NULL OR logs.role <> ALL (roles) THEN
		RAISE EXCEPTION 'role "%" does not exist', coalesce(logs.role, 'null')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = format('The roles of %s are: %s.', CASE WHEN logs.app IS NULL THEN 'HAF' ELSE 'an app' END,
					array_to_string(roles, ', '));
	END IF;
	SELECT c.log INTO log FROM hafstack.container AS c
	WHERE coalesce(c.app, '') = coalesce(logs.app, '') AND c.role = logs.role
		AND c.ordinal = coalesce(logs.ordinal, 1);
	IF NOT FOUND THEN
		RAISE EXCEPTION '% has had no container number % in role "%"',
			hafstack.who(logs.app), coalesce(logs.ordinal, 1), logs.role
			USING ERRCODE = 'undefined_object',
				HINT = 'hafstack.status() lists the containers.';
	END IF;
	RETURN log;
END
$$;

/*
 * What wait_for() goes by; no row for an app that does not exist.  A reset or
 * a retry that the worker has not taken in yet counts as done already: whoever
 * calls one and then waits does not mean the state before.
 */
CREATE FUNCTION hafstack.standing(app text, OUT phase text, OUT error text, OUT failed boolean,
	OUT removing boolean, OUT can_serve boolean, OUT passed_idle boolean) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN n.reset THEN 'registered' ELSE a.phase END, a.error, a.failed AND NOT n.reset AND NOT n.asked,
		a.removing, a.counts[5] > 0, false
	FROM hafstack.app AS a,
		LATERAL (SELECT coalesce(a.run <> a.current_run, false) AS reset,
			EXISTS (SELECT FROM hafstack.request AS r
				WHERE r.app = a.name AND r.action IN ('retry', 'skip')) AS asked) AS n
	WHERE a.name = standing.app
	UNION ALL
	SELECT s.phase, coalesce(s.error, s.haf_error), (s.failed OR s.haf_failed)
		AND NOT EXISTS (SELECT FROM hafstack.request AS r
			WHERE r.app IS NULL AND r.action IN ('retry', 'skip', 'start')),
		false, false, s.running
	FROM hafstack.current_stack() AS s
	WHERE standing.app IS NULL
$$;

/*
 * ---- Backups ----------------------------------------------------------
 */
SELECT pg_catalog.pg_extension_config_dump('hafstack.stack', '');
SELECT pg_catalog.pg_extension_config_dump('hafstack.app', '');
SELECT pg_catalog.pg_extension_config_dump('hafstack.container', '');
SELECT pg_catalog.pg_extension_config_dump('hafstack.event', '');
SELECT pg_catalog.pg_extension_config_dump('hafstack.request', '');
SELECT pg_catalog.pg_extension_config_dump('hafstack.run_seq', '');
SELECT pg_catalog.pg_extension_config_dump('hafstack.event_seq_seq', '');
SELECT pg_catalog.pg_extension_config_dump('hafstack.request_id_seq', '');

/*
 * ---- Rights -----------------------------------------------------------
 *
 * Whoever may call the changing functions is root on the Docker host.
 */
REVOKE ALL ON SCHEMA hafstack FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA hafstack FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA hafstack FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA hafstack FROM PUBLIC;

GRANT USAGE ON SCHEMA hafstack TO pg_monitor;
GRANT SELECT ON hafstack.apps, hafstack.event TO pg_monitor;
-- the view calls these two with its reader's rights
GRANT EXECUTE ON FUNCTION hafstack.status(), hafstack.progress(), hafstack.worker_view() TO pg_monitor;

/*
 * ---- Comments ---------------------------------------------------------
 */
COMMENT ON SCHEMA hafstack IS 'brings up and keeps up a HAF node from inside its own database';

COMMENT ON SEQUENCE hafstack.run_seq IS 'numbers the runs of apps; reset() starts a new one';
COMMENT ON TABLE hafstack.stack IS 'settings and state of the stack and of HAF; one row, made by configure() or start()';
COMMENT ON TABLE hafstack.app IS 'registered apps: what is wanted of them, and how far they are';
COMMENT ON TABLE hafstack.container IS 'containers of apps (app null: of HAF itself), one row a step; written by the worker alone';
COMMENT ON TABLE hafstack.request IS 'calls of changing functions that the worker has not taken in yet';
COMMENT ON INDEX hafstack.app_names IS 'finds the app that has a container name already';
COMMENT ON INDEX hafstack.app_depends_on IS 'finds the apps that depend on one';
COMMENT ON INDEX hafstack.container_step IS 'a step never has two containers';

COMMENT ON TABLE hafstack.event IS 'what happened; each row is also notified on channel hafstack as JSON with these columns';
COMMENT ON COLUMN hafstack.event.seq IS 'rising in the order of commits; whoever missed notifications reads on from the last he saw';
COMMENT ON COLUMN hafstack.event.at IS 'when it was recorded';
COMMENT ON COLUMN hafstack.event.kind IS 'phase, haf (its sync state), container, failure, retry, operator (who asked for what), engine or warning';
COMMENT ON COLUMN hafstack.event.app IS 'the app it is about; null: the stack or HAF';
COMMENT ON COLUMN hafstack.event.from_state IS 'phase or state before';
COMMENT ON COLUMN hafstack.event.to_state IS 'phase or state after';
COMMENT ON COLUMN hafstack.event.detail IS 'in words';
COMMENT ON SEQUENCE hafstack.event_seq_seq IS 'numbers hafstack.event';
COMMENT ON SEQUENCE hafstack.request_id_seq IS 'numbers hafstack.request';

COMMENT ON VIEW hafstack.apps IS 'all apps in order of place: how far they are, and what holds them';
COMMENT ON COLUMN hafstack.apps.name IS 'name of the app';
COMMENT ON COLUMN hafstack.apps.phase IS 'registered, index_build, index_built, app_setup, setup_done, app_sync, live or serving';
COMMENT ON COLUMN hafstack.apps.since IS 'when it came into that phase';
COMMENT ON COLUMN hafstack.apps.failed IS 'a step of it failed; hafstack.status() has the error';
COMMENT ON COLUMN hafstack.apps.held IS 'on hold, by itself or through an app that it depends on';
COMMENT ON COLUMN hafstack.apps.waiting_for IS 'what holds it where it is, in words; null when nothing does';
COMMENT ON COLUMN hafstack.apps.blocks_behind IS 'blocks between its slowest context and HAF''s irreversible block';
COMMENT ON COLUMN hafstack.apps.blocks_per_second IS 'how fast that context moves';
COMMENT ON COLUMN hafstack.apps.eta IS 'how long it will take at that rate to catch up';
COMMENT ON VIEW hafstack.app_now IS 'internal: what status() and apps have in common';
COMMENT ON VIEW hafstack.container_now IS 'internal: containers as they are, and as they will be where there is no row yet';

COMMENT ON FUNCTION hafstack.configure(text, text, text, text, text, text, jsonb, jsonb, text, jsonb, jsonb) IS
'changes settings of the stack and returns those now in force. What is null stays as it is; an empty string (of postgres_url, network, haf_image) or JSON null means none. A change that would make the spec of a registered app invalid is refused. In the answer the password in postgres_url is masked; haf, defaults and vars come back as they were given, secrets in them included.';
COMMENT ON FUNCTION hafstack.register_app(text, text[], text[], int, text, text, jsonb, jsonb, jsonb, jsonb, jsonb, boolean, text[]) IS
'registers an app: what it depends on, and the containers of each of its roles. place defaults to the last; done names roles (index, setup, live_sync) that count as done already.';
COMMENT ON FUNCTION hafstack.alter_app(text, text[], text[], int, text, text, jsonb, jsonb, jsonb, jsonb, jsonb, boolean, text[]) IS
'changes a registered app, from its next container on. What is null stays as it is; JSON null means none, and so does an empty string or array.';
COMMENT ON FUNCTION hafstack.remove_app(text) IS 'stops and removes the containers of an app, then the app; an error while other apps depend on it';
COMMENT ON FUNCTION hafstack.start(boolean, boolean) IS
'starts the stack, or lets it go on after stop(). take_over: go on in a copy of the database, or with another Docker Engine; restart_haf: bundled topology only.';
COMMENT ON FUNCTION hafstack.stop(boolean) IS 'takes our containers down in order; what is done stays done. Running jobs finish, unless force.';
COMMENT ON FUNCTION hafstack.pause() IS 'nothing new is started, brought back or removed until resume(); what runs goes on and is recorded';
COMMENT ON FUNCTION hafstack.resume() IS 'ends pause()';
COMMENT ON FUNCTION hafstack.hold(text) IS 'takes an app, and those that depend on it, out of the way of the others; its spec is kept';
COMMENT ON FUNCTION hafstack.release(text) IS 'ends hold()';
COMMENT ON FUNCTION hafstack.retry(text) IS 'tries what failed again at once, with all attempts anew; null: of HAF itself';
COMMENT ON FUNCTION hafstack.skip(text) IS 'counts a failed index, setup or live_sync as done; null: of HAF itself';
COMMENT ON FUNCTION hafstack.reset(text) IS 'takes an app back to phase registered and starts a new run; roles listed in done still count as done';
COMMENT ON FUNCTION hafstack.status() IS 'the state of everything as one document; reads catalog and shared memory, never HAF or Docker';
COMMENT ON FUNCTION hafstack.logs(text, text, int) IS 'the end of the log of a role''s last container that ended; app null: HAF';
COMMENT ON FUNCTION hafstack.version() IS 'version of the loaded module';
COMMENT ON PROCEDURE hafstack.wait_for(text, text, interval) IS
'returns when the app (null: the stack) has reached or passed the phase. Raises HF001 when the timeout is over, HF002 when the app failed, HF003 when it is removed, HF004 when the phase can never come, HF005 when there has been no worker for ten seconds, 2D000 inside a transaction block. GRANT ... ON ALL FUNCTIONS does not reach procedures: grant it ON ALL ROUTINES, or by name.';

COMMENT ON FUNCTION hafstack.wake() IS 'internal: wakes the worker when this transaction commits';
COMMENT ON FUNCTION hafstack.require_home() IS 'internal: an error where no worker looks after this database';
COMMENT ON FUNCTION hafstack.name_valid(text) IS 'internal: is this fit for a container''s name?';
COMMENT ON FUNCTION hafstack.check_settings(jsonb, jsonb) IS 'internal: checks defaults and vars';
COMMENT ON FUNCTION hafstack.plan_containers(hafstack.stack, hafstack.app, text) IS 'internal: checks a role''s spec and names its containers';
COMMENT ON FUNCTION hafstack.prunes_blocks(hafstack.stack) IS 'internal: does HAF''s spec ask for pruning?';
COMMENT ON FUNCTION hafstack.worker_view() IS 'internal: what the worker published about itself and HAF';
COMMENT ON FUNCTION hafstack.progress() IS 'internal: what the worker published about apps';
COMMENT ON FUNCTION hafstack.current_stack() IS 'internal: the stack''s row, or what it would start from';
COMMENT ON FUNCTION hafstack.begin_change() IS 'internal: first call of every changing function';
COMMENT ON FUNCTION hafstack.begin_app_change(text) IS 'internal: the same, for a function about one app';
COMMENT ON FUNCTION hafstack.note_request(text, text, text) IS 'internal: last call of every changing function';
COMMENT ON FUNCTION hafstack.who(text) IS 'internal: an app, or HAF, as messages name it';
COMMENT ON FUNCTION hafstack.check_name(text, text) IS 'internal: an error for a bad name';
COMMENT ON FUNCTION hafstack.check_list(text, text[], text[]) IS 'internal: an error for a bad list of names';
COMMENT ON FUNCTION hafstack.check_dependencies(text, text[]) IS 'internal: an error for unknown or circular dependencies';
COMMENT ON FUNCTION hafstack.haf_names(hafstack.stack) IS 'internal: container names that are HAF''s';
COMMENT ON FUNCTION hafstack.refuse_name(text, text, text) IS 'internal: the error for a container name used twice';
COMMENT ON FUNCTION hafstack.check_names(hafstack.stack, hafstack.app) IS 'internal: an error for a container name used twice';
COMMENT ON FUNCTION hafstack.plan_app(hafstack.stack, hafstack.app) IS 'internal: checks an app''s specs, fills in counts and names';
COMMENT ON FUNCTION hafstack.hived_seen() IS 'internal: has hived been here, and does it prune?';
COMMENT ON FUNCTION hafstack.check_index_possible(text, boolean) IS 'internal: an error once it is too late for index roles';
COMMENT ON FUNCTION hafstack.check_app(hafstack.app, hafstack.app) IS 'internal: all checks of a registered app';
COMMENT ON FUNCTION hafstack.masked_url(text) IS 'internal: a connection string without its password';
COMMENT ON FUNCTION hafstack.settings_json(hafstack.stack) IS 'internal: what configure() returns';
COMMENT ON FUNCTION hafstack.check_settings_change(hafstack.stack, hafstack.stack) IS 'internal: checks of configure() against what goes on';
COMMENT ON FUNCTION hafstack.replan(hafstack.stack) IS 'internal: checks all specs under new settings';
COMMENT ON FUNCTION hafstack.check_start(hafstack.stack, boolean, boolean) IS 'internal: checks of start()';
COMMENT ON FUNCTION hafstack.set_paused(boolean, text) IS 'internal: pause() and resume()';
COMMENT ON FUNCTION hafstack.standing(text) IS 'internal: what wait_for() goes by';
