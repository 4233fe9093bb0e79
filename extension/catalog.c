/*
 * catalog.c
 *		hafstack's tables: rows in, rows out.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_control.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "access/xlog.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "catalog.h"
#include "event.h"

#define STATEMENTS_MAX_MS	30000	/* of one transaction of the worker */
#define LOCK_PASSED_MS		5000	/* without meeting a lock */
#define LOCK_NEWS_MS		10000	/* of meeting one again and again */
#define SAME_ERROR_MS		10000	/* an error that repeats is logged no oftener */

typedef struct NameEntry
{
	char		name[NAMEDATALEN];
	int			app;
} NameEntry;

static char last_error[WORDS_MAX];

/* ---- Transactions --------------------------------------------------------- */

static void
run_transaction(CatalogWork work, void *arg)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	enable_timeout_after(STATEMENT_TIMEOUT, STATEMENTS_MAX_MS);
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	work(arg);
	SPI_finish();
	PopActiveSnapshot();
	disable_timeout(STATEMENT_TIMEOUT, false);
	CommitTransactionCommand();
}

/* Has somebody held a lock for so long that nothing goes on? */
static bool
locked_for_long(TimestampTz now)
{
	static TimestampTz since = 0;
	static TimestampTz last = 0;

	if (TimestampDifferenceExceeds(last, now, LOCK_PASSED_MS))
		since = now;
	last = now;
	return TimestampDifferenceExceeds(since, now, LOCK_NEWS_MS);
}

/* A lock that somebody holds for a moment is no news, and what fails four times
 * a second must not fill the server's log. */
static bool
is_news(const ErrorData *error)
{
	static TimestampTz logged_at = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && !locked_for_long(now))
		return false;
	if (strcmp(error->message, last_error) == 0 &&
		!TimestampDifferenceExceeds(logged_at, now, SAME_ERROR_MS))
		return false;
	logged_at = now;
	return true;
}

/* Remember, report and clear the error that has just been caught. */
static void
swallow_error(MemoryContext context)
{
	ErrorData  *error;
	bool		news;

	HOLD_INTERRUPTS();
	disable_timeout(STATEMENT_TIMEOUT, false);
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	news = is_news(error);
	strlcpy(last_error, error->message, sizeof(last_error));
	if (news)
	{
		error->elevel = LOG;
		ThrowErrorData(error);
	}
	FreeErrorData(error);
	AbortCurrentTransaction();
	FlushErrorState();
	RESUME_INTERRUPTS();
}

bool
catalog_transaction(CatalogWork work, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool ok = true;

	PG_TRY();
	{
		run_transaction(work, arg);
	}
	PG_CATCH();
	{
		swallow_error(context);
		ok = false;
	}
	PG_END_TRY();
	/* a cancel or time limit that came too late was for this, and not for what follows */
	QueryCancelPending = false;
	MemoryContextSwitchTo(context);
	pgstat_report_stat(false);
	return ok;
}

const char *
catalog_last_error(void)
{
	return last_error;
}

/* ---- Statements ------------------------------------------------------------- */

#define STATEMENTS_MAX	48
#define PARAMETERS_MAX	24

/* The plan of a statement of this file, made at its first use and kept; the
 * text's address is its name. */
static SPIPlanPtr
plan_of(const char *sql, int n)
{
	static struct
	{
		const char *sql;
		SPIPlanPtr	plan;
	}			plans[STATEMENTS_MAX];
	Oid			types[PARAMETERS_MAX];
	SPIPlanPtr	plan;
	int			i = 0;

	while (i < STATEMENTS_MAX && plans[i].sql != NULL && plans[i].sql != sql)
		i++;
	if (i < STATEMENTS_MAX && plans[i].sql == sql)
		return plans[i].plan;
	for (int p = 0; p < n; p++)
		types[p] = TEXTOID;
	plan = SPI_prepare(sql, n, types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	if (i < STATEMENTS_MAX)
	{
		SPI_keepplan(plan);
		plans[i].sql = sql;
		plans[i].plan = plan;
	}
	return plan;
}

/* Execute, with text parameters in their external form; NULL is null. */
static void
execute(const char *sql, int n, const char *const *parameters, int expected)
{
	Datum		values[PARAMETERS_MAX] = {0};
	char		nulls[PARAMETERS_MAX] = {0};
	int			result;

	for (int i = 0; i < n; i++)
	{
		nulls[i] = parameters[i] ? ' ' : 'n';
		values[i] = parameters[i] ? CStringGetTextDatum(parameters[i]) : (Datum) 0;
	}
	result = SPI_execute_plan(plan_of(sql, n), values, nulls, false, 0);
	if (result != expected)
		elog(ERROR, "unexpected result of a statement on hafstack's catalog: %s",
			 SPI_result_code_string(result));
}

/* One column of the current result. */
static char *
text_at(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

static Datum
datum_at(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

static bool
bool_at(uint64 row, int column)
{
	bool		isnull;
	Datum		value = datum_at(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

static int64
int64_at(uint64 row, int column)
{
	bool		isnull;
	Datum		value = datum_at(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static int
int_at(uint64 row, int column)
{
	bool		isnull;
	Datum		value = datum_at(row, column, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

/* A text[] as C strings in the current context. */
static int
texts_at(uint64 row, int column, char ***texts)
{
	bool		isnull;
	Datum		value = datum_at(row, column, &isnull);
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	*texts = NULL;
	if (isnull)
		return 0;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &n);
	*texts = palloc0(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*texts)[i] = nulls[i] ? pstrdup("") : TextDatumGetCString(elements[i]);
	return n;
}

static void
counts_at(uint64 row, int column, const Role *roles, int n_roles, int *counts)
{
	bool		isnull;
	Datum		value = datum_at(row, column, &isnull);
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	if (isnull)
		return;
	deconstruct_array(DatumGetArrayTypeP(value), INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &elements, &nulls, &n);
	for (int i = 0; i < n && i < n_roles; i++)
		counts[roles[i]] = nulls[i] ? 0 : Max(0, Min(DatumGetInt32(elements[i]), SPEC_MAX_CONTAINERS));
}

static char *
keep(MemoryContext context, const char *text)
{
	return text ? MemoryContextStrdup(context, text) : NULL;
}

/* ---- Load --------------------------------------------------------------------- */

static const Role haf_roles[] = {ROLE_INSTANCE, ROLE_LIVE_SYNC};
static const Role app_roles[] = {ROLE_INDEX, ROLE_SETUP, ROLE_SYNC, ROLE_LIVE_SYNC, ROLE_API};

bool
catalog_extension_exists(void)
{
	return OidIsValid(get_extension_oid("hafstack", true));
}

/* Is this the database that the row was made in? */
static bool
is_moved(int64 system_identifier, Oid database)
{
	return (uint64) system_identifier != GetSystemIdentifier() || database != MyDatabaseId;
}

static void
load_stack(Catalog *catalog)
{
	Stack	   *stack = &catalog->view.stack;
	App		   *haf = &catalog->view.apps[HAF_APP];
	bool		isnull;

	execute("SELECT id::text, name, generation, spec_version, running, paused, force_stop,"
			" phase, failed, engine, system_identifier, database, haf_live_when,"
			" haf_counts, haf_failed, haf_error, haf_checked_version,"
			" EXISTS (SELECT FROM hafstack.request), topology = 'bundled', restart_haf"
			" FROM hafstack.stack", 0, NULL, SPI_OK_SELECT);
	catalog->exists = SPI_processed == 1;
	if (!catalog->exists)
		return;
	catalog->stack_id = keep(catalog->context, text_at(0, 1));
	catalog->stack_name = keep(catalog->context, text_at(0, 2));
	stack->generation = int64_at(0, 3);
	stack->spec_version = int64_at(0, 4);
	stack->running = bool_at(0, 5);
	stack->paused = bool_at(0, 6);
	stack->force_stop = bool_at(0, 7);
	stack->phase = Max(stack_phase_by_name(text_at(0, 8)), 0);
	stack->failed = bool_at(0, 9);
	catalog->engine = keep(catalog->context, text_at(0, 10));
	catalog->moved = is_moved(int64_at(0, 11), DatumGetObjectId(datum_at(0, 12, &isnull)));
	catalog->instance_ready_is_live = strcmp(text_at(0, 13), "instance_ready") == 0;
	counts_at(0, 14, haf_roles, lengthof(haf_roles), haf->count);
	haf->failed = bool_at(0, 15);
	haf->error = keep(catalog->context, text_at(0, 16));
	haf->checked_version = int64_at(0, 17);
	catalog->has_requests = bool_at(0, 18);
	stack->bundled = bool_at(0, 19);
	stack->restart_haf = bool_at(0, 20);
	if (stack->bundled)
		haf->count[ROLE_INSTANCE] = haf->count[ROLE_RECOVERY] = haf->count[ROLE_HANDOFF] = 1;
}

static void
load_app(Catalog *catalog, uint64 row, App *app, AppInfo *info)
{
	char	  **roles;
	int			n;

	app->name = keep(catalog->context, text_at(row, 1));
	app->generation = int64_at(row, 2);
	app->spec_version = int64_at(row, 3);
	app->held = bool_at(row, 4);
	app->removing = bool_at(row, 5);
	app->run = int64_at(row, 6);
	app->current_run = int64_at(row, 7);
	if (app->current_run == 0)
		app->current_run = app->run;	/* just registered */
	app->phase = Max(app_phase_by_name(text_at(row, 8)), 0);
	app->failed = bool_at(row, 9);
	app->error = keep(catalog->context, text_at(row, 10));
	app->checked_version = int64_at(row, 11);
	counts_at(row, 12, app_roles, lengthof(app_roles), app->count);
	n = texts_at(row, 13, &roles);
	for (int i = 0; i < n; i++)
		if (role_by_name(roles[i]) >= 0)
			app->counts_done[role_by_name(roles[i])] = true;
	info->wait_for_indexes = bool_at(row, 14);
	MemoryContextSwitchTo(catalog->context);
	info->n_contexts = texts_at(row, 15, &info->contexts);
	app->has_contexts = info->n_contexts > 0;
	app->sync_note = info->note;
	info->current_block = info->blocks_behind = -1;
	info->rate = -1;
}

/* Names in depends_on, as places in apps; an unknown one cannot be. */
static void
load_depends(Catalog *catalog, uint64 row, App *app)
{
	char	  **names;
	int			n = texts_at(row, 16, &names);

	app->depends_on = MemoryContextAllocZero(catalog->context, sizeof(int) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		int			other = catalog_find_app(catalog, names[i]);

		if (other > HAF_APP)
			app->depends_on[app->n_depends_on++] = other;
	}
}

static void
load_apps(Catalog *catalog)
{
	View	   *view = &catalog->view;
	MemoryContext old;

	execute("SELECT name, generation, spec_version, held, removing, run, current_run,"
			" phase, failed, error, checked_version, counts, done, wait_for_indexes,"
			" contexts, depends_on"
			" FROM hafstack.app ORDER BY place", 0, NULL, SPI_OK_SELECT);
	view->n_apps = 1 + (int) SPI_processed;
	view->apps = MemoryContextAllocHuge(catalog->context, sizeof(App) * view->n_apps);
	memset(view->apps, 0, sizeof(App) * view->n_apps);
	catalog->app_info = MemoryContextAllocHuge(catalog->context, sizeof(AppInfo) * view->n_apps);
	memset(catalog->app_info, 0, sizeof(AppInfo) * view->n_apps);
	view->apps[HAF_APP].name = "";

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		NameEntry  *entry;
		char		key[NAMEDATALEN] = {0};

		old = CurrentMemoryContext;
		load_app(catalog, row, &view->apps[row + 1], &catalog->app_info[row + 1]);
		MemoryContextSwitchTo(old);
		strlcpy(key, view->apps[row + 1].name, sizeof(key));
		entry = hash_search(catalog->by_name, key, HASH_ENTER, NULL);
		entry->app = (int) row + 1;
	}
	for (uint64 row = 0; row < SPI_processed; row++)
		load_depends(catalog, row, &view->apps[row + 1]);
}

/* Where each role's steps stand: as many as are wanted, or as there are rows. */
static void
lay_out_steps(Catalog *catalog)
{
	View	   *view = &catalog->view;

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		char	   *name = text_at(row, 1);
		int			app = catalog_find_app(catalog, name ? name : "");
		int			role = role_by_name(text_at(row, 2));

		if (app >= 0 && role >= 0)
			view->apps[app].role_steps[role] =
				Max(view->apps[app].role_steps[role], Min(int_at(row, 3), SPEC_MAX_CONTAINERS));
	}
	for (int i = 0; i < view->n_apps; i++)
	{
		App		   *app = &view->apps[i];

		app->first_step = view->n_steps;
		for (int role = 0; role < ROLES; role++)
		{
			app->role_steps[role] = Max(app->role_steps[role], app->count[role]);
			app->role_first[role] = view->n_steps;
			view->n_steps += app->role_steps[role];
		}
		app->n_steps = view->n_steps - app->first_step;
	}
}

static void
blank_steps(Catalog *catalog)
{
	View	   *view = &catalog->view;

	view->steps = MemoryContextAllocHuge(catalog->context, sizeof(Step) * Max(view->n_steps, 1));
	memset(view->steps, 0, sizeof(Step) * Max(view->n_steps, 1));
	catalog->step_info = MemoryContextAllocHuge(catalog->context, sizeof(StepInfo) * Max(view->n_steps, 1));
	memset(catalog->step_info, 0, sizeof(StepInfo) * Max(view->n_steps, 1));
	for (int i = 0; i < view->n_apps; i++)
	{
		App		   *app = &view->apps[i];

		for (int role = 0; role < ROLES; role++)
			for (int n = 0; n < app->role_steps[role]; n++)
			{
				Step	   *step = &view->steps[app->role_first[role] + n];

				step->app = i;
				step->role = role;
				step->ordinal = n + 1;
				step->run = app->run;
				/* beyond what is wanted, and without a row: nothing to do */
				step->state = n < app->count[role] ? STEP_WAITING : STEP_REMOVED;
			}
	}
}

static void
load_step(Catalog *catalog, uint64 row)
{
	char	   *name = text_at(row, 1);
	int			role = role_by_name(text_at(row, 2));
	int			at = role < 0 ? -1 : catalog_find_step(catalog, name ? name : "", role, int_at(row, 3));
	Step	   *step;
	StepInfo   *info;
	char	   *text;

	if (at < 0)
		return;
	step = &catalog->view.steps[at];
	info = &catalog->step_info[at];
	step->run = int64_at(row, 4);
	step->attempt = int_at(row, 5);
	step->failures = int_at(row, 6);
	info->name = keep(catalog->context, text_at(row, 7));
	if ((text = text_at(row, 8)) != NULL)
		strlcpy(info->id, text, sizeof(info->id));
	info->image = keep(catalog->context, text_at(row, 9));
	step->spec_version = int64_at(row, 10);
	step->state = Max(step_state_by_name(text_at(row, 11)), 0);
	step->done = bool_at(row, 12);
	step->failed = bool_at(row, 13);
	step->stopping = bool_at(row, 14);
	step->was_up = bool_at(row, 15);
	if ((text = text_at(row, 16)) != NULL)
		strlcpy(info->health, text, sizeof(info->health));
	strlcpy(info->stored_health, info->health, sizeof(info->stored_health));
	text = text_at(row, 17);
	step->has_exit = text != NULL;
	step->exit_code = int_at(row, 17);
	info->error = keep(catalog->context, text_at(row, 18));
	step->log_stored = bool_at(row, 19);
	step->created_seq = int64_at(row, 20);
	step->started_at = int64_at(row, 21);
	step->finished_at = int64_at(row, 22);
	step->retry_at = int64_at(row, 23);
	catalog->view.next_seq = Max(catalog->view.next_seq, step->created_seq + 1);
}

static void
load_steps(Catalog *catalog)
{
	execute("SELECT app, role, ordinal, run, attempt, failures, name, id, image, spec_version,"
			" state, done, failed, stopping, was_up, health, exit_code, error, log_stored,"
			" created_seq, started_at, finished_at, retry_at"
			" FROM hafstack.container", 0, NULL, SPI_OK_SELECT);
	lay_out_steps(catalog);
	blank_steps(catalog);
	catalog->view.next_seq = 1;
	for (uint64 row = 0; row < SPI_processed; row++)
		load_step(catalog, row);
}

/* What was observed of a step stays true when only wishes have changed. */
static void
take_over_step(const Catalog *old, int from_at, Catalog *catalog, int to_at)
{
	const Step *from = &old->view.steps[from_at];
	const StepInfo *from_info = &old->step_info[from_at];
	Step	   *to = &catalog->view.steps[to_at];
	StepInfo   *to_info = &catalog->step_info[to_at];

	if (from->run != to->run || from->attempt != to->attempt || from->state != to->state)
	{
		to->busy = from->busy && from->run == to->run;
		return;
	}
	decide_keep_observed(to, from);
	to->trouble = keep(catalog->context, from->trouble);
	/* a look by name has found it, and it is not written yet */
	if (to_info->id[0] == '\0')
		strlcpy(to_info->id, from_info->id, sizeof(to_info->id));
	to_info->tty = from_info->tty;
	to_info->oom = from_info->oom;
	to_info->touched = from_info->touched;
}

static void
take_over(Catalog *catalog, Catalog *old)
{
	View	   *view = &catalog->view;

	view->now = old->view.now;
	view->policy = old->view.policy;
	view->stack.engine_up = old->view.stack.engine_up;
	view->next_seq = Max(view->next_seq, old->view.next_seq);
	for (int i = 0; i < view->n_apps; i++)
	{
		App		   *app = &view->apps[i];
		int			at = catalog_find_app(old, app->name);
		App		   *from = at < 0 ? NULL : &old->view.apps[at];

		if (from == NULL)
			continue;
		if (from->spec_version + old->view.stack.spec_version ==
			app->spec_version + view->stack.spec_version)
		{
			app->check = from->check;
			app->check_at = from->check_at;
			catalog->app_info[i].preflight_error =
				keep(catalog->context, old->app_info[at].preflight_error);
			catalog->app_info[i].check_failures = old->app_info[at].check_failures;
		}
		app->caught_up = from->caught_up && app->run == from->run;
		catalog->app_info[i].current_block = old->app_info[at].current_block;
		catalog->app_info[i].blocks_behind = old->app_info[at].blocks_behind;
		catalog->app_info[i].rate_at = old->app_info[at].rate_at;
		catalog->app_info[i].rate_block = old->app_info[at].rate_block;
		catalog->app_info[i].rate = old->app_info[at].rate;
		memcpy(catalog->app_info[i].note, old->app_info[at].note, WORDS_MAX);
		for (int role = 0; role < ROLES; role++)
			for (int n = 0; n < Min(app->role_steps[role], from->role_steps[role]); n++)
				take_over_step(old, from->role_first[role] + n, catalog, app->role_first[role] + n);
	}
}

Catalog *
catalog_load(Catalog *old)
{
	/* of the transaction until all of it is there */
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "hafstack catalog",
												  ALLOCSET_DEFAULT_SIZES);
	Catalog    *catalog = MemoryContextAllocZero(context, sizeof(Catalog));
	HASHCTL		control = {.keysize = NAMEDATALEN, .entrysize = sizeof(NameEntry), .hcxt = context};

	catalog->context = context;
	catalog->by_name = hash_create("hafstack apps", 64, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	load_apps(catalog);
	load_stack(catalog);
	load_steps(catalog);
	if (old != NULL)
		take_over(catalog, old);
	MemoryContextSetParent(context, TopMemoryContext);
	if (old != NULL)
		MemoryContextDelete(old->context);
	return catalog;
}

/* ---- Look-ups ------------------------------------------------------------------ */

int
catalog_find_app(const Catalog *catalog, const char *name)
{
	char		key[NAMEDATALEN] = {0};
	NameEntry  *entry;

	if (name[0] == '\0')
		return HAF_APP;
	strlcpy(key, name, sizeof(key));
	entry = hash_search(catalog->by_name, key, HASH_FIND, NULL);
	return entry ? entry->app : -1;
}

int
catalog_find_step(const Catalog *catalog, const char *app, Role role, int ordinal)
{
	int			at = catalog_find_app(catalog, app);
	const App  *it = at < 0 ? NULL : &catalog->view.apps[at];

	if (it == NULL || ordinal < 1 || ordinal > it->role_steps[role])
		return -1;
	return it->role_first[role] + ordinal - 1;
}

int
catalog_find_id(const Catalog *catalog, const char *id)
{
	for (int i = 0; i < catalog->view.n_steps; i++)
		if (strcmp(catalog->step_info[i].id, id) == 0 && id[0] != '\0')
			return i;
	return -1;
}

void
catalog_set_text(const Catalog *catalog, char **text, const char *value)
{
	char	   *copy = keep(catalog->context, value);

	*text = copy;				/* the one before may be put back; it goes with the context */
}

/* ---- Store ---------------------------------------------------------------------- */

static const char *
or_null(const char *name)
{
	return name != NULL && name[0] != '\0' ? name : NULL;
}

static const char *
yes_no(bool value)
{
	return value ? "t" : "f";
}

static const char *
time_text(int64 value)
{
	return value == 0 ? NULL : pstrdup(timestamptz_to_str(value));
}

bool
catalog_confirm(const Catalog *catalog, int app)
{
	const App  *it = &catalog->view.apps[Max(app, HAF_APP)];
	char	   *stack_generation = psprintf(INT64_FORMAT, catalog->view.stack.generation);
	const char *parameters[] = {NULL, it->name};

	execute("SELECT FROM hafstack.stack WHERE generation = $1::bigint FOR SHARE NOWAIT",
			1, (const char *const *) &stack_generation, SPI_OK_SELECT);
	if (SPI_processed != 1)
		return false;
	if (app <= HAF_APP)
		return true;
	parameters[0] = psprintf(INT64_FORMAT, it->generation);
	execute("SELECT FROM hafstack.app WHERE generation = $1::bigint AND name = $2 FOR SHARE NOWAIT",
			2, parameters, SPI_OK_SELECT);
	return SPI_processed == 1;
}

void
catalog_store_step(const Catalog *catalog, int at)
{
	const Step *step = &catalog->view.steps[at];
	const StepInfo *info = &catalog->step_info[at];
	const char *p[22];
	int			n = 0;

	p[n++] = or_null(catalog->view.apps[step->app].name);
	p[n++] = role_names[step->role];
	p[n++] = psprintf("%d", step->ordinal);
	p[n++] = psprintf(INT64_FORMAT, step->run);
	p[n++] = psprintf("%d", step->attempt);
	p[n++] = psprintf("%d", step->failures);
	p[n++] = info->name;
	p[n++] = or_null(info->id);
	p[n++] = info->image;
	p[n++] = psprintf(INT64_FORMAT, step->spec_version);
	p[n++] = step_state_names[step->state];
	p[n++] = yes_no(step->done);
	p[n++] = yes_no(step->failed);
	p[n++] = yes_no(step->stopping);
	p[n++] = yes_no(step->was_up);
	p[n++] = or_null(info->health);
	p[n++] = step->has_exit ? psprintf("%d", step->exit_code) : NULL;
	p[n++] = info->error;
	p[n++] = yes_no(step->log_stored);
	p[n++] = psprintf(INT64_FORMAT, step->created_seq);
	p[n++] = psprintf("{%s,%s,%s}",
					  step->started_at ? psprintf("\"%s\"", time_text(step->started_at)) : "NULL",
					  step->finished_at ? psprintf("\"%s\"", time_text(step->finished_at)) : "NULL",
					  step->retry_at ? psprintf("\"%s\"", time_text(step->retry_at)) : "NULL");
	p[n++] = yes_no(step->state == STEP_CREATED);
	execute("INSERT INTO hafstack.container AS c (app, role, ordinal, run, attempt, failures,"
			" name, id, image, spec_version, state, done, failed, stopping, was_up, health,"
			" exit_code, error, log_stored, created_seq, started_at, finished_at, retry_at, created_at)"
			" VALUES ($1, $2, $3::int, $4::bigint, $5::int, $6::int, $7, $8, $9, $10::bigint,"
			" $11, $12::bool, $13::bool, $14::bool, $15::bool, $16, $17::int, $18, $19::bool,"
			" $20::bigint, ($21::timestamptz[])[1], ($21::timestamptz[])[2], ($21::timestamptz[])[3],"
			" CASE WHEN $22::bool THEN clock_timestamp() END)"
			" ON CONFLICT (coalesce(app, ''), role, ordinal) DO UPDATE SET"
			" run = excluded.run, attempt = excluded.attempt, failures = excluded.failures,"
			" name = excluded.name, id = excluded.id, image = excluded.image,"
			" spec_version = excluded.spec_version, state = excluded.state, done = excluded.done,"
			" failed = excluded.failed, stopping = excluded.stopping, was_up = excluded.was_up,"
			" health = excluded.health, exit_code = excluded.exit_code, error = excluded.error,"
			" log_stored = excluded.log_stored, created_seq = excluded.created_seq,"
			" started_at = excluded.started_at, finished_at = excluded.finished_at,"
			" retry_at = excluded.retry_at, created_at = coalesce(excluded.created_at, c.created_at)",
			n, p, SPI_OK_INSERT);
}

static void
update_step(const Catalog *catalog, int at, const char *sql, const char *value)
{
	const Step *step = &catalog->view.steps[at];
	const char *p[] = {catalog->view.apps[step->app].name, role_names[step->role],
	psprintf("%d", step->ordinal), value};

	execute(sql, 4, p, SPI_OK_UPDATE);
}

void
catalog_store_log(const Catalog *catalog, int at, const char *log)
{
	update_step(catalog, at,
				"UPDATE hafstack.container SET log = $4"
				" WHERE coalesce(app, '') = $1 AND role = $2 AND ordinal = $3::int", log);
}

void
catalog_store_app(const Catalog *catalog, int at, const char *error, bool phase_changed)
{
	const App  *app = &catalog->view.apps[at];
	const char *p[] = {app->name, app_phase_names[app->phase], yes_no(app->failed), error,
	yes_no(phase_changed), psprintf(INT64_FORMAT, app->current_run)};

	if (at == HAF_APP)
		execute("UPDATE hafstack.stack SET haf_failed = $1::bool, haf_error = $2",
				2, p + 2, SPI_OK_UPDATE);
	else
		execute("UPDATE hafstack.app SET phase = $2, failed = $3::bool, error = $4,"
				" since = CASE WHEN $5::bool THEN clock_timestamp() ELSE since END,"
				" current_run = $6::bigint WHERE name = $1", 6, p, SPI_OK_UPDATE);
}

void
catalog_store_stack(const Catalog *catalog, const char *error, bool phase_changed)
{
	const Stack *stack = &catalog->view.stack;
	const char *p[] = {stack_phase_names[stack->phase], yes_no(stack->failed), error, yes_no(phase_changed)};

	execute("UPDATE hafstack.stack SET phase = $1, failed = $2::bool, error = $3,"
			" since = CASE WHEN $4::bool THEN clock_timestamp() ELSE since END",
			4, p, SPI_OK_UPDATE);
}

void
catalog_store_checked(const Catalog *catalog, int at)
{
	const App  *app = &catalog->view.apps[at];
	const char *p[] = {psprintf(INT64_FORMAT, app->checked_version), app->name};

	if (at == HAF_APP)
		execute("UPDATE hafstack.stack SET haf_checked_version = $1::bigint", 1, p, SPI_OK_UPDATE);
	else
		execute("UPDATE hafstack.app SET checked_version = $1::bigint WHERE name = $2",
				2, p, SPI_OK_UPDATE);
}

void
catalog_store_engine(Catalog *catalog, const char *engine)
{
	execute("UPDATE hafstack.stack SET engine = $1", 1, &engine, SPI_OK_UPDATE);
}

void
catalog_renew(const Catalog *catalog, int app)
{
	const char *name = catalog->view.apps[app].name;

	execute("DELETE FROM hafstack.container WHERE app = $1", 1, &name, SPI_OK_DELETE);
	catalog_store_app(catalog, app, NULL, true);
}

void
catalog_forget(const Catalog *catalog, int app)
{
	const char *name = catalog->view.apps[app].name;

	execute("DELETE FROM hafstack.container WHERE app = $1", 1, &name, SPI_OK_DELETE);
	execute("DELETE FROM hafstack.app WHERE name = $1 AND removing", 1, &name, SPI_OK_DELETE);
}

/* ---- Requests -------------------------------------------------------------------- */

static void
take_request(const char *action, const char *app)
{
	if (strcmp(action, "retry") == 0)
		execute("UPDATE hafstack.container SET failed = false, failures = 0, retry_at = NULL"
				" WHERE app IS NOT DISTINCT FROM $1 AND NOT done AND (failed OR failures > 0)",
				1, &app, SPI_OK_UPDATE);
	else if (strcmp(action, "skip") == 0)
		execute("UPDATE hafstack.container SET done = true, failed = false"
				" WHERE app IS NOT DISTINCT FROM $1 AND failed AND role IN ('index', 'setup', 'live_sync')",
				1, &app, SPI_OK_UPDATE);
}

void
catalog_take_requests(void)
{
	SPITupleTable *requests;
	uint64		n;

	execute("SELECT id::text, by, action, app, detail FROM hafstack.request ORDER BY id",
			0, NULL, SPI_OK_SELECT);
	requests = SPI_tuptable;
	n = SPI_processed;
	for (uint64 i = 0; i < n; i++)
	{
		const char *p[5];

		for (int column = 0; column < 5; column++)
			p[column] = SPI_getvalue(requests->vals[i], requests->tupdesc, column + 1);
		take_request(p[2], p[3]);
		event_write("operator", p[3], NULL, p[2],
					p[4] ? psprintf("%s: %s", p[1], p[4]) : psprintf("by %s", p[1]));
		execute("DELETE FROM hafstack.request WHERE id = $1::bigint", 1, p, SPI_OK_DELETE);
	}
}

/* ---- Specs ------------------------------------------------------------------------- */

void
catalog_spec(const Catalog *catalog, int app, Role role, SpecContext *context, char **spec)
{
	const char *parameters[] = {catalog->view.apps[app].name, role_names[role]};

	memset(context, 0, sizeof(*context));
	execute("SELECT name, topology = 'bundled', postgres_url, network, haf_image, helper_image,"
			" defaults::text, vars::text,"
			" CASE $2 WHEN 'instance' THEN haf::text WHEN 'live_sync' THEN haf_live_sync::text END"
			" FROM hafstack.stack", 2, parameters, SPI_OK_SELECT);
	if (SPI_processed != 1)
		elog(ERROR, "hafstack.stack has no row");
	context->stack_name = text_at(0, 1);
	context->bundled = bool_at(0, 2);
	context->postgres_url = text_at(0, 3);
	context->network = text_at(0, 4);
	context->haf_image = text_at(0, 5);
	context->helper_image = text_at(0, 6);
	context->defaults = text_at(0, 7);
	context->vars = text_at(0, 8);
	*spec = text_at(0, 9);
	if (app == HAF_APP)
	{
		/* a link of the chain is a clone; what the operator wrote is laid over it */
		if (*spec == NULL && spec_is_cloned(context, role_names[role]))
			*spec = pstrdup("{}");
		return;
	}
	execute("SELECT name, app_root, image, CASE $2 WHEN 'index' THEN index WHEN 'setup' THEN setup"
			" WHEN 'sync' THEN sync WHEN 'live_sync' THEN live_sync WHEN 'api' THEN api END::text"
			" FROM hafstack.app WHERE name = $1", 2, parameters, SPI_OK_SELECT);
	if (SPI_processed != 1)
		elog(ERROR, "app \"%s\" has no row", parameters[0]);
	context->app = text_at(0, 1);
	context->app_root = text_at(0, 2);
	context->image = text_at(0, 3);
	*spec = text_at(0, 4);
}
