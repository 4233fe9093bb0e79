/* hafstack--0.1.0.sql: catalog and functions; interface.md has every name */

\echo Use "CREATE EXTENSION hafstack" to load this file. \quit

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
	haf_live_when	text NOT NULL DEFAULT 'live' CHECK (haf_live_when IN ('live', 'instance_ready')),
	defaults		jsonb,
	vars			jsonb,
	running			boolean NOT NULL DEFAULT false,
	paused			boolean NOT NULL DEFAULT false,
	force_stop		boolean NOT NULL DEFAULT false,
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

CREATE TABLE hafstack.container (
	app				text REFERENCES hafstack.app,	-- null: HAF itself
	role			text NOT NULL CHECK (role IN ('index', 'instance', 'setup', 'sync', 'live_sync', 'api')),
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

