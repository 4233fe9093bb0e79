/*
 * api.c
 *		The C half of what SQL can call.
 *
 * Room: what SQL cannot do by itself, and no more: check specs with the code
 * that later builds containers from them, read shared memory, wake the worker at
 * commit, and wait.  Rules about apps and phases are in hafstack--0.1.0.sql, next
 * to the tables; nothing here writes a row.
 */
#include "postgres.h"

#include <limits.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include <cjson/cJSON.h>

#include "haf.h"
#include "hafstack.h"
#include "spec.h"

/* what wait_for() raises; COMMENT ON PROCEDURE lists them for users */
#define ERRCODE_WAIT_TIMEOUT	MAKE_SQLSTATE('H', 'F', '0', '0', '1')
#define ERRCODE_WAIT_FAILED		MAKE_SQLSTATE('H', 'F', '0', '0', '2')
#define ERRCODE_WAIT_REMOVED	MAKE_SQLSTATE('H', 'F', '0', '0', '3')
#define ERRCODE_WAIT_NEVER		MAKE_SQLSTATE('H', 'F', '0', '0', '4')
#define ERRCODE_WAIT_NO_WORKER	MAKE_SQLSTATE('H', 'F', '0', '0', '5')

/* A worker that crashed is back within seconds: wait_for() rides that out. */
#define WORKER_GRACE_MS			10000

PG_FUNCTION_INFO_V1(hafstack_version);
PG_FUNCTION_INFO_V1(hafstack_wake);
PG_FUNCTION_INFO_V1(hafstack_require_home);
PG_FUNCTION_INFO_V1(hafstack_name_valid);
PG_FUNCTION_INFO_V1(hafstack_check_settings);
PG_FUNCTION_INFO_V1(hafstack_plan_containers);
PG_FUNCTION_INFO_V1(hafstack_prunes_blocks);
PG_FUNCTION_INFO_V1(hafstack_hived_seen);
PG_FUNCTION_INFO_V1(hafstack_worker_view);
PG_FUNCTION_INFO_V1(hafstack_progress);
PG_FUNCTION_INFO_V1(hafstack_wait_for);

/* ---- Is there a worker for this database? ---- */

/*
 * Why nothing can be done from here, in words, and what helps; NULL when this
 * database has, or will have, a worker.
 */
static char *
away_from_home(char **hint)
{
	char	   *here;

	if (hafstack_shared == NULL)
	{
		const char *libraries = GetConfigOption("shared_preload_libraries", true, false);
		bool		others = libraries != NULL && libraries[0] != '\0';

		*hint = psprintf("Put \"shared_preload_libraries = '%s%shafstack'\" into postgresql.conf and restart the server.",
						 others ? libraries : "", others ? ", " : "");
		return pstrdup("hafstack is not loaded by this server");
	}
	if (hafstack_is_home())
	{
		/* what goes to Docker and comes from it is UTF-8 */
		if (GetDatabaseEncoding() == PG_UTF8)
			return NULL;
		*hint = pstrdup("Like HAF itself, hafstack needs a database with encoding UTF8.");
		return psprintf("the encoding of this database is %s", GetDatabaseEncodingName());
	}

	here = get_database_name(MyDatabaseId);
	*hint = psprintf("Connect to database \"%s\", or put \"hafstack.database = '%s'\" into postgresql.conf and restart the server.",
					 hafstack_database, here);
	return psprintf("hafstack looks after database \"%s\", not after \"%s\"",
					hafstack_database, here);
}

Datum
hafstack_require_home(PG_FUNCTION_ARGS)
{
	char	   *hint;
	char	   *problem = away_from_home(&hint);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", problem),
				 errhint("%s", hint)));
	PG_RETURN_VOID();
}

Datum
hafstack_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(HAFSTACK_VERSION));
}

/* Without preload there is nobody to wake, and require_home() has said so. */
Datum
hafstack_wake(PG_FUNCTION_ARGS)
{
	if (hafstack_shared != NULL)
		hafstack_wake_at_commit();
	PG_RETURN_VOID();
}

/* ---- Specs ---- */

static void
raise_spec_error(const SpecError *error)
{
	const char *s = error->sqlstate;
	bool		proper = strlen(s) == 5;

	ereport(ERROR,
			(errcode(proper ? MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4])
					 : ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", error->message),
			 error->hint[0] != '\0' ? errhint("%s", error->hint) : 0));
}

static char *
jsonb_datum_to_cstring(Datum datum)
{
	Jsonb	   *jsonb = DatumGetJsonbP(datum);

	return JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
}

/* A text attribute of a row of ours; NULL for null. */
static char *
text_attribute(HeapTupleHeader row, const char *name)
{
	bool		isnull;
	Datum		value = GetAttributeByName(row, name, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* A jsonb attribute, as text. */
static char *
jsonb_attribute(HeapTupleHeader row, const char *name)
{
	bool		isnull;
	Datum		value = GetAttributeByName(row, name, &isnull);

	return isnull ? NULL : jsonb_datum_to_cstring(value);
}

/* What a spec can draw on, from a row of hafstack.stack and maybe of .app. */
static void
fill_context(SpecContext *context, HeapTupleHeader stack, HeapTupleHeader app)
{
	char	   *topology = text_attribute(stack, "topology");

	memset(context, 0, sizeof(*context));
	context->stack_name = text_attribute(stack, "name");
	context->bundled = topology != NULL && strcmp(topology, "bundled") == 0;
	context->postgres_url = text_attribute(stack, "postgres_url");
	context->network = text_attribute(stack, "network");
	context->haf_image = text_attribute(stack, "haf_image");
	context->helper_image = text_attribute(stack, "helper_image");
	context->defaults = jsonb_attribute(stack, "defaults");
	context->vars = jsonb_attribute(stack, "vars");
	if (context->stack_name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a stack must have a name")));
	if (app == NULL)
		return;
	context->app = text_attribute(app, "name");
	context->app_root = text_attribute(app, "app_root");
	context->image = text_attribute(app, "image");
	if (context->app == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("an app must have a name")));
}

/* The spec of a role as text; the role is checked here, for app or HAF. */
static char *
role_spec(HeapTupleHeader stack, HeapTupleHeader app, const char *role)
{
	static const char *const app_roles[] = {"index", "setup", "sync", "live_sync", "api"};

	if (app == NULL && strcmp(role, "instance") == 0)
		return jsonb_attribute(stack, "haf");
	if (app == NULL && strcmp(role, "live_sync") == 0)
		return jsonb_attribute(stack, "haf_live_sync");
	for (int i = 0; app != NULL && i < lengthof(app_roles); i++)
	{
		if (strcmp(role, app_roles[i]) == 0)
			return jsonb_attribute(app, role);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("role \"%s\" does not exist", role)));
	return NULL;				/* keep compilers quiet */
}

/* plan_containers(stack, app, role): names of the containers it asks for. */
Datum
hafstack_plan_containers(PG_FUNCTION_ARGS)
{
	HeapTupleHeader app = PG_ARGISNULL(1) ? NULL : PG_GETARG_HEAPTUPLEHEADER(1);
	HeapTupleHeader stack;
	SpecContext context;
	SpecError	error = {0};
	char	   *role;
	char	   *spec;
	Datum	   *names;
	int			count;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	stack = PG_GETARG_HEAPTUPLEHEADER(0);
	role = text_to_cstring(PG_GETARG_TEXT_PP(2));
	spec = role_spec(stack, app, role);
	fill_context(&context, stack, app);

	count = spec_count(&context, role, spec, &error);
	if (count < 0)
		raise_spec_error(&error);
	names = palloc(sizeof(Datum) * (count + 1));
	for (int ordinal = 1; ordinal <= count; ordinal++)
	{
		SpecContainer container;

		if (!spec_build(&context, role, spec, ordinal, NULL, &container, &error))
			raise_spec_error(&error);
		names[ordinal - 1] = CStringGetTextDatum(container.name);
		spec_free(&container);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Does a word of Cmd ask hived to forget old blocks?  The value may follow '='
 * or be the next word; 0 means that all are kept. */
static bool
command_prunes(const cJSON *command)
{
	static const char option[] = "--psql-prune-blocks";
	const cJSON *word;

	cJSON_ArrayForEach(word, command)
	{
		const char *value = "";

		if (!cJSON_IsString(word) ||
			strncmp(word->valuestring, option, sizeof(option) - 1) != 0)
			continue;
		if (word->valuestring[sizeof(option) - 1] == '=')
			value = word->valuestring + sizeof(option);
		else if (word->valuestring[sizeof(option) - 1] != '\0')
			continue;
		else if (word->next != NULL && cJSON_IsString(word->next))
			value = word->next->valuestring;
		if (value[0] == '\0' || strspn(value, "0") != strlen(value))
			return true;
	}
	return false;
}

/*
 * prunes_blocks(stack): would HAF's own containers run hived with pruning?
 * Looks at the finished bodies, where defaults and vars have had their say.
 */
Datum
hafstack_prunes_blocks(PG_FUNCTION_ARGS)
{
	HeapTupleHeader stack = PG_GETARG_HEAPTUPLEHEADER(0);
	SpecContext context;
	SpecError	error = {0};
	char	   *spec = role_spec(stack, NULL, "instance");
	int			count;
	bool		prunes = false;

	fill_context(&context, stack, NULL);
	count = spec_count(&context, "instance", spec, &error);
	if (count < 0)
		raise_spec_error(&error);
	for (int ordinal = 1; ordinal <= count && !prunes; ordinal++)
	{
		SpecContainer container;
		cJSON	   *body;

		if (!spec_build(&context, "instance", spec, ordinal, NULL, &container, &error))
			raise_spec_error(&error);
		body = cJSON_Parse(container.body);
		prunes = command_prunes(cJSON_GetObjectItemCaseSensitive(body, "Cmd")) ||
			command_prunes(cJSON_GetObjectItemCaseSensitive(body, "Entrypoint"));
		cJSON_Delete(body);
		spec_free(&container);
	}
	PG_RETURN_BOOL(prunes);
}

/* check_settings(defaults, vars): by themselves, before any role uses them. */
Datum
hafstack_check_settings(PG_FUNCTION_ARGS)
{
	SpecError	error = {0};

	if (!PG_ARGISNULL(0) &&
		!spec_check_defaults(jsonb_datum_to_cstring(PG_GETARG_DATUM(0)), &error))
		raise_spec_error(&error);
	if (!PG_ARGISNULL(1) &&
		!spec_check_vars(jsonb_datum_to_cstring(PG_GETARG_DATUM(1)), &error))
		raise_spec_error(&error);
	PG_RETURN_VOID();
}

Datum
hafstack_name_valid(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(spec_name_valid(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

/* ---- What the worker published ---- */

/* A row of ours under way, column by column. */
typedef struct Row
{
	Datum		values[16];
	bool		nulls[16];
	int			count;
} Row;

static void
add_datum(Row *row, Datum value, bool isnull)
{
	row->values[row->count] = value;
	row->nulls[row->count++] = isnull;
}

/*
 * Words from shared memory, null when empty.  Part of them came over the network
 * and was cut to fit, maybe within a character: keep what is whole.
 */
static void
add_words(Row *row, const char *words)
{
	int			length = pg_encoding_verifymbstr(GetDatabaseEncoding(), words, strlen(words));

	add_datum(row, PointerGetDatum(cstring_to_text_with_len(words, length)), length == 0);
}

static Datum
finish_row(const Row *row, TupleDesc desc)
{
	if (row->count != desc->natts)
		elog(ERROR, "a row of %d columns was declared as one of %d",
			 row->count, desc->natts);
	return HeapTupleGetDatum(heap_form_tuple(desc, (Datum *) row->values,
											 (bool *) row->nulls));
}

/* What our caller was declared to return, blessed. */
static TupleDesc
declared_row(FunctionCallInfo fcinfo)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return BlessTupleDesc(desc);
}

/* Why there is no worker, for people; to be called when its pid is 0. */
static char *
no_worker_words(const WorkerPublished *worker)
{
	char	   *hint;
	char	   *problem = away_from_home(&hint);

	if (problem != NULL)
		return psprintf("%s: %s", problem, hint);
	if (worker->not_running[0] != '\0')
		return pstrdup(worker->not_running);
	return pstrdup("the worker is not running: the server log says why");
}

/* What is published for this database; empty away from home. */
static void
read_published(WorkerPublished *worker, AppPublished **apps, int *count)
{
	memset(worker, 0, sizeof(*worker));
	*apps = NULL;
	*count = 0;
	if (hafstack_shared != NULL && hafstack_is_home())
		hafstack_read_published(worker, apps, count);
}

/* hived_seen() -> (connected, pruning): HAF's own tables; an error when they are
 * locked for longer than lock_timeout. */
Datum
hafstack_hived_seen(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc;
	Datum		values[2];
	bool		nulls[2] = {false, false};
	bool		connected;
	int			pruning;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	haf_hived_seen(&connected, &pruning);
	values[0] = BoolGetDatum(connected);
	values[1] = Int32GetDatum(pruning);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/* worker_view(): one row, columns as in the script. */
Datum
hafstack_worker_view(PG_FUNCTION_ARGS)
{
	WorkerPublished worker;
	AppPublished *apps;
	int			count;
	Row			row = {0};
	const HafPublished *haf = &worker.haf;

	read_published(&worker, &apps, &count);
	if (worker.docker_host[0] == '\0' && hafstack_docker_host != NULL)
		strlcpy(worker.docker_host, hafstack_docker_host, WORDS_MAX);
	if (worker.pid == 0)
	{
		worker.docker_reachable = false;
		strlcpy(worker.waiting_for, no_worker_words(&worker), WORDS_MAX);
		strlcpy(worker.last_error, worker.waiting_for, WORDS_MAX);
	}

	add_datum(&row, Int32GetDatum((int32) worker.pid), worker.pid == 0);
	add_words(&row, worker.docker_host);
	add_datum(&row, BoolGetDatum(worker.docker_reachable), false);
	add_words(&row, worker.docker_api);
	add_words(&row, worker.last_error);
	add_words(&row, worker.waiting_for);
	add_words(&row, haf->state);
	add_datum(&row, BoolGetDatum(haf->live), false);
	add_datum(&row, BoolGetDatum(haf->ready), false);
	add_datum(&row, BoolGetDatum(haf->dirty), false);
	add_datum(&row, Int64GetDatum(haf->irreversible_block),
			  !haf->known || haf->irreversible_block < 0);
	add_datum(&row, TimestampTzGetDatum(haf->block_time), haf->block_time == 0);
	add_datum(&row, TimestampTzGetDatum(haf->observed_at), haf->observed_at == 0);
	add_words(&row, haf->waiting_for);
	PG_RETURN_DATUM(finish_row(&row, declared_row(fcinfo)));
}

static Datum
progress_row(TupleDesc desc, const AppPublished *app)
{
	Row			row = {0};

	add_words(&row, app->app);
	add_datum(&row, Int64GetDatum(app->current_block), app->current_block < 0);
	add_datum(&row, Int64GetDatum(app->blocks_behind), app->blocks_behind < 0);
	add_datum(&row, Float8GetDatum(app->blocks_per_second), app->blocks_per_second < 0);
	add_datum(&row, Float8GetDatum(app->eta_seconds), app->eta_seconds < 0);
	add_words(&row, app->waiting_for);
	return finish_row(&row, desc);
}

/* progress(): one row for each app the worker published. */
Datum
hafstack_progress(PG_FUNCTION_ARGS)
{
	FuncCallContext *calls;
	AppPublished *apps;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;
		WorkerPublished worker;
		int			count;

		calls = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(calls->multi_call_memory_ctx);
		calls->tuple_desc = declared_row(fcinfo);
		read_published(&worker, &apps, &count);
		calls->user_fctx = apps;
		calls->max_calls = count;
		MemoryContextSwitchTo(old);
	}

	calls = SRF_PERCALL_SETUP();
	apps = calls->user_fctx;
	if (calls->call_cntr < calls->max_calls)
	{
		/* by itself: SRF_RETURN_NEXT() counts before it looks at its argument */
		Datum		row = progress_row(calls->tuple_desc, &apps[calls->call_cntr]);

		SRF_RETURN_NEXT(calls, row);
	}
	SRF_RETURN_DONE(calls);
}

/* ---- wait_for() ---- */

static const char *const app_phases[] = {
	"registered", "index_build", "index_built", "app_setup", "setup_done",
	"app_sync", "live", "serving", NULL
};
static const char *const stack_phases[] = {
	"idle", "preflight", "index_build", "haf_sync", "app_setup", "app_sync",
	"live", NULL
};

typedef enum Verdict
{
	VERDICT_REACHED,
	VERDICT_WAIT,
	VERDICT_TIMEOUT,
	VERDICT_FAILED,
	VERDICT_REMOVED,
	VERDICT_UNKNOWN_APP,
	VERDICT_NEVER,
	VERDICT_NO_WORKER
} Verdict;

typedef struct Wait
{
	char	   *app;			/* NULL: the stack */
	char	   *phase;
	TimestampTz deadline;		/* DT_NOEND: none */
	TimestampTz worker_missed;	/* since when there is no worker; 0: there is one */
	bool		seen;			/* the app was there when we first looked */
	/* as of the last look */
	char		standing[NAMEDATALEN];	/* the phase it is in */
	char	   *error;			/* in the procedure's context */
} Wait;

/* Place of phase in list, or -1. */
static int
phase_rank(const char *const *list, const char *phase)
{
	for (int i = 0; list[i] != NULL; i++)
	{
		if (strcmp(list[i], phase) == 0)
			return i;
	}
	return -1;
}

static void
check_phase(const Wait *wait)
{
	const char *const *list = wait->app != NULL ? app_phases : stack_phases;
	StringInfoData all;

	if (phase_rank(list, wait->phase) >= 0)
		return;
	initStringInfo(&all);
	for (int i = 0; list[i] != NULL; i++)
		appendStringInfo(&all, "%s%s", i > 0 ? ", " : "", list[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("phase \"%s\" does not exist", wait->phase),
			 errhint(wait->app != NULL ? "The phases of an app are: %s."
					 : "The phases of the stack are: %s.", all.data)));
}

static bool
column_bool(int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
									  column, &isnull);

	return !isnull && DatumGetBool(value);
}

/*
 * Judge the one row of standing(): phase, error, failed, removing, can_serve,
 * passed_idle.
 */
static Verdict
judge_row(Wait *wait)
{
	const char *const *list = wait->app != NULL ? app_phases : stack_phases;
	char	   *phase = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	int			wanted = phase_rank(list, wait->phase);

	strlcpy(wait->standing, phase, sizeof(wait->standing));
	pfree(phase);
	wait->error = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	wait->seen = true;

	if (column_bool(4))
		return VERDICT_REMOVED;
	if (wait->app == NULL && wanted == 0)
	{
		/* A stack on its way down has passed idle long ago, and that is not
		 * what somebody who called stop() waits for. */
		return strcmp(wait->standing, "idle") == 0 || column_bool(6) ? VERDICT_REACHED : VERDICT_WAIT;
	}
	if (phase_rank(list, wait->standing) >= wanted)
		return VERDICT_REACHED;
	if (strcmp(wait->phase, "serving") == 0 && !column_bool(5))
		return VERDICT_NEVER;
	return column_bool(3) ? VERDICT_FAILED : VERDICT_WAIT;
}

/* One look at the catalog, with a snapshot of its own; whoever waits for days
 * takes many, and keeps nothing of them. */
static Verdict
look(Wait *wait)
{
	Oid			types[1] = {TEXTOID};
	Datum		args[1];
	char		nulls[1];
	Verdict		verdict;

	if (wait->error != NULL)
		pfree(wait->error);
	wait->error = NULL;
	nulls[0] = wait->app == NULL ? 'n' : ' ';
	args[0] = wait->app == NULL ? (Datum) 0 : CStringGetTextDatum(wait->app);
	if (SPI_execute_with_args("SELECT phase, error, failed, removing, can_serve, passed_idle"
							  " FROM hafstack.standing($1)",
							  1, types, args, nulls, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up where app or stack stand");
	if (SPI_processed == 0)
		verdict = wait->seen ? VERDICT_REMOVED : VERDICT_UNKNOWN_APP;
	else
		verdict = judge_row(wait);
	SPI_freetuptable(SPI_tuptable);
	if (wait->app != NULL)
		pfree(DatumGetPointer(args[0]));
	return verdict;
}

/* Milliseconds to sleep at most, -1 without end; verdict when none are left. */
static long
patience(Wait *wait, Verdict *verdict)
{
	TimestampTz now = GetCurrentTimestamp();
	long		left = -1;
	pid_t		pid;

	LWLockAcquire(hafstack_shared->lock, LW_SHARED);
	pid = hafstack_shared->worker.pid;
	LWLockRelease(hafstack_shared->lock);

	if (pid != 0)
		wait->worker_missed = 0;
	else
	{
		if (wait->worker_missed == 0)
			wait->worker_missed = now;
		left = WORKER_GRACE_MS - TimestampDifferenceMilliseconds(wait->worker_missed, now);
		if (left <= 0)
			*verdict = VERDICT_NO_WORKER;
	}
	if (!TIMESTAMP_IS_NOEND(wait->deadline))
	{
		long		to_deadline = TimestampDifferenceMilliseconds(now, wait->deadline);

		if (now >= wait->deadline)
			*verdict = VERDICT_TIMEOUT;
		if (left < 0 || to_deadline < left)
			left = to_deadline;
	}
	return left < 0 ? -1 : Max(Min(left, INT_MAX), 1);
}

/*
 * Look, and sleep until the worker says that something changed.  An error in
 * here aborts the transaction, which takes us off the condition variable.
 */
static Verdict
wait_loop(Wait *wait)
{
	Verdict		verdict;

	/* On the list before the first look, so no broadcast falls between. */
	ConditionVariablePrepareToSleep(&hafstack_shared->changed);
	for (;;)
	{
		long		left;

		verdict = look(wait);
		if (verdict != VERDICT_WAIT)
			break;
		left = patience(wait, &verdict);
		if (verdict != VERDICT_WAIT)
			break;

		/* Vacuum must not be held back by somebody who only waits. */
		SPI_commit();
#if PG_VERSION_NUM < 150000
		SPI_start_transaction();	/* by itself since 14.2 */
#endif
		CHECK_FOR_INTERRUPTS();
		ConditionVariableTimedSleep(&hafstack_shared->changed, left, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	return verdict;
}

static void
raise_no_worker(void)
{
	char	   *hint = "The server log and hafstack.status() say why.";
	char	   *problem = away_from_home(&hint);

	ereport(ERROR,
			(errcode(ERRCODE_WAIT_NO_WORKER),
			 errmsg("%s", problem != NULL ? problem : "hafstack's worker is not running"),
			 errhint("%s", hint)));
}

static void
raise_verdict(const Wait *wait, Verdict verdict)
{
	char	   *who = wait->app != NULL ? psprintf("app \"%s\"", wait->app) : "the stack";

	switch (verdict)
	{
		case VERDICT_REACHED:
		case VERDICT_WAIT:
			break;
		case VERDICT_TIMEOUT:
			ereport(ERROR,
					(errcode(ERRCODE_WAIT_TIMEOUT),
					 errmsg("%s did not reach phase \"%s\" in time", who, wait->phase),
					 errdetail("It is in phase \"%s\".", wait->standing),
					 errhint("hafstack.status() says what it is waiting for.")));
			break;
		case VERDICT_FAILED:
			ereport(ERROR,
					(errcode(ERRCODE_WAIT_FAILED),
					 errmsg("%s failed in phase \"%s\"", who, wait->standing),
					 wait->error != NULL ? errdetail("%s", wait->error) : 0,
					 errhint("Mend what is wrong, then call hafstack.retry().")));
			break;
		case VERDICT_REMOVED:
			ereport(ERROR,
					(errcode(ERRCODE_WAIT_REMOVED),
					 errmsg("%s is being removed", who)));
			break;
		case VERDICT_UNKNOWN_APP:
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("%s does not exist", who),
					 errhint("The view hafstack.apps lists all that are registered.")));
			break;
		case VERDICT_NEVER:
			ereport(ERROR,
					(errcode(ERRCODE_WAIT_NEVER),
					 errmsg("%s can never reach phase \"%s\"", who, wait->phase),
					 errdetail("It has no API."),
					 errhint("Wait for phase \"live\", its last.")));
			break;
		case VERDICT_NO_WORKER:
			raise_no_worker();
			break;
	}
}

/* wait_for(app, phase, timeout) */
Datum
hafstack_wait_for(PG_FUNCTION_ARGS)
{
	Wait		wait = {0};
	char	   *hint;

	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("wait_for() cannot run inside a transaction block"),
				 errdetail("While it waits it holds no snapshot, so it has to end the transaction that it was called in."),
				 errhint("CALL it by itself, outside BEGIN and functions.")));
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the phase to wait for must not be null")));
	if (away_from_home(&hint) != NULL)
		raise_no_worker();

	/* from here on palloc() survives our commits */
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	wait.app = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	wait.phase = text_to_cstring(PG_GETARG_TEXT_PP(1));
	wait.deadline = PG_ARGISNULL(2) ? DT_NOEND :
		DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												TimestampTzGetDatum(GetCurrentTimestamp()),
												PG_GETARG_DATUM(2)));
	check_phase(&wait);
	raise_verdict(&wait, wait_loop(&wait));
	SPI_finish();
	PG_RETURN_VOID();
}
