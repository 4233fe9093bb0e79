/*
 * worker.c
 *		The background worker: the process and its loop.
 *
 * One round: take in what the Engine answered and what SQL functions asked for,
 * look at HAF when that is due, let decide() name the actions, carry them out,
 * publish what status() shows, and wait for latch, Engine or clock together.
 * No transaction is open while waiting.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "event.h"
#include "hafstack.h"
#include "worker.h"

#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif

#define STACK_ID_MAX	64
#define ROUND_PASSES	50		/* decide, act: at most so often in one round */
#define BATCH_MAX		256		/* actions written in one transaction */
#define TROUBLED_LOOK_MS	1000	/* between looks at a HAF that could not be read */
#define ERROR_SHOWN_MS		10000	/* an error stays in status() for so long at least */
#define ETA_MAX_S			(10 * 365 * 86400.0)

static void
worker_at_exit(int code, Datum arg)
{
	LWLockAcquire(hafstack_shared->lock, LW_EXCLUSIVE);
	hafstack_shared->worker.pid = 0;
	hafstack_shared->worker.docker_reachable = false;
	hafstack_shared->worker_latch = NULL;
	hafstack_shared->progress = DSM_HANDLE_INVALID;
	hafstack_shared->progress_count = 0;
	if (hafstack_shared->launcher_latch)
		SetLatch(hafstack_shared->launcher_latch);
	LWLockRelease(hafstack_shared->lock);
	ConditionVariableBroadcast(&hafstack_shared->changed);
}

/* A cancel is for the statement that it was meant for; one that comes when there
 * is none must not end the process. */
static void
worker_interrupts(void)
{
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
}

/* ---- Start ------------------------------------------------------------------- */

/* Whatever ALTER DATABASE and ALTER ROLE say, this session is as it must be. */
static void
pin_session(void)
{
	static const char *const pins[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"synchronous_commit", "local"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_deferrable", "off"},
		{"role", "none"},
		{"row_security", "on"},
		{"lock_timeout", "100"},
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"session_replication_role", "origin"},
		{"default_tablespace", ""},
		{"array_nulls", "on"},
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"client_encoding", NULL},
		{"jit", "off"},
#if PG_VERSION_NUM >= 170000
		{"transaction_timeout", "0"},
#endif
	};

	for (int i = 0; i < lengthof(pins); i++)
		SetConfigOption(pins[i][0], pins[i][1] ? pins[i][1] : GetDatabaseEncodingName(),
						PGC_SUSET, PGC_S_OVERRIDE);
}

/* Announce this process; false when another worker is still there, or somebody
 * who needs the database to himself came between launch and now. */
static bool
take_office(Oid database)
{
	bool		free;

	LWLockAcquire(hafstack_shared->lock, LW_EXCLUSIVE);
	free = hafstack_shared->worker.pid == 0 && hafstack_shared->inhibitors == 0;
	hafstack_shared->in_office = true;
	if (free)
	{
		memset(&hafstack_shared->worker, 0, sizeof(hafstack_shared->worker));
		hafstack_shared->worker.pid = MyProcPid;
		hafstack_shared->worker_latch = MyLatch;
		hafstack_shared->database = database;
		hafstack_shared->no_extension = false;
	}
	LWLockRelease(hafstack_shared->lock);
	if (free)
		before_shmem_exit(worker_at_exit, 0);
	return free;
}

static void
leave_without_extension(void)
{
	LWLockAcquire(hafstack_shared->lock, LW_EXCLUSIVE);
	hafstack_shared->no_extension = true;
	snprintf(hafstack_shared->worker.not_running, WORDS_MAX,
			 "extension hafstack is not installed in database \"%s\"", hafstack_database);
	LWLockRelease(hafstack_shared->lock);
	proc_exit(0);
}

/* ---- Catalog ------------------------------------------------------------------ */

bool
worker_transaction(Worker *worker, CatalogWork work, void *arg)
{
	pgstat_report_activity(STATE_RUNNING, "hafstack");
	if (catalog_transaction(work, arg))
	{
		if (TimestampDifferenceExceeds(worker->last_error_at, GetCurrentTimestamp(), ERROR_SHOWN_MS))
			worker->last_error[0] = '\0';
		pgstat_report_activity(STATE_IDLE, NULL);
		pg_atomic_fetch_add_u64(&hafstack_shared->changes, 1);
		ConditionVariableBroadcast(&hafstack_shared->changed);
		return true;
	}
	pgstat_report_activity(STATE_IDLE, NULL);
	strlcpy(worker->last_error, catalog_last_error(), sizeof(worker->last_error));
	worker->last_error_at = GetCurrentTimestamp();
	return false;
}

typedef struct Reload
{
	Worker	   *worker;
	bool		extension;
} Reload;

static void
reload_work(void *arg)
{
	Reload	   *reload = arg;

	reload->extension = catalog_extension_exists();
	if (reload->extension)
		reload->worker->catalog = catalog_load(reload->worker->catalog);
}

static void
take_requests_work(void *arg)
{
	catalog_take_requests();
}

/* An operator's call is also a reason to check anew what was found wrong. */
static void
hurry_checks(Catalog *catalog)
{
	for (int i = 0; i < catalog->view.n_apps; i++)
		catalog->view.apps[i].check_at = 0;
}

/* The rows as they are; what is in memory is never ahead of what is committed. */
static bool
load(Worker *worker)
{
	Reload		reload = {worker, true};
	char		before[STACK_ID_MAX] = "";
	const char *after;

	if (worker->catalog != NULL && worker->catalog->stack_id != NULL)
		strlcpy(before, worker->catalog->stack_id, sizeof(before));
	if (!worker_transaction(worker, reload_work, &reload))
		return false;
	if (!reload.extension)
		leave_without_extension();
	after = worker->catalog->stack_id ? worker->catalog->stack_id : "";
	if (strcmp(before, after) != 0)
		observe_disconnect(worker); /* it listens for another stack's containers */
	return true;
}

static bool
reload_catalog(Worker *worker)
{
	uint64		requests = pg_atomic_read_u64(&hafstack_shared->requests);

	worker->reload = true;
	if (!load(worker))
		return false;
	if (worker->catalog->has_requests)
	{
		if (!worker_transaction(worker, take_requests_work, NULL))
			return false;
		hurry_checks(worker->catalog);
		if (!load(worker))
			return false;
	}
	worker->requests_seen = requests;
	worker->reload = false;
	observe_engine_identity(worker);
	return true;
}

/* Text from outside, which is UTF-8, in this database's encoding. */
char *
server_text(const char *utf8)
{
	char	   *text = pstrdup(utf8);

	if (GetDatabaseEncoding() == PG_UTF8 &&
		pg_verify_mbstr(PG_UTF8, text, strlen(text), true))
		return text;
	for (char *c = text; *c; c++)
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
	return text;
}

typedef struct EventArgs
{
	const char *kind,
			   *from,
			   *to,
			   *detail;
} EventArgs;

static void
event_work(void *arg)
{
	EventArgs  *event = arg;

	event_write(event->kind, NULL, event->from, event->to, event->detail);
}

bool
worker_event(Worker *worker, const char *kind, const char *to, const char *detail)
{
	EventArgs	event = {kind, NULL, to, detail};

	return worker_transaction(worker, event_work, &event);
}

/* ---- HAF ------------------------------------------------------------------------ */

static void
look_work(void *arg)
{
	Worker	   *worker = arg;

	haf_look(&worker->haf, worker->catalog);
}

/* Each change of HAF's state is one event, written until it is. */
static void
tell_of_haf(Worker *worker)
{
	char	   *told = worker->haf_told;
	const char *now = worker->haf.state;
	EventArgs	event = {"haf", told[0] ? told : NULL, now[0] ? now : NULL, NULL};

	if (!worker->haf_known && worker->haf.observed_at != 0)
		worker->haf_known = true;
	else if (strcmp(told, now) == 0)
		return;
	else if (worker->catalog->exists && !worker_transaction(worker, event_work, &event))
		return;
	strlcpy(told, now, NAMEDATALEN);
}

static void
look_at_haf(Worker *worker)
{
	int			wait = hafstack_poll_interval;

	if (!catalog_transaction(look_work, worker))
	{
		snprintf(worker->haf.trouble, sizeof(worker->haf.trouble), "%s", catalog_last_error());
		wait = Max(wait, TROUBLED_LOOK_MS);
	}
	worker->next_look = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), wait);
	tell_of_haf(worker);
}

/* ---- Decide and act --------------------------------------------------------------- */

static void
set_view(Worker *worker)
{
	View	   *view = &worker->catalog->view;

	view->now = GetCurrentTimestamp();
	view->policy.max_attempts = hafstack_max_attempts;
	view->policy.retry_delay = hafstack_retry_delay * INT64CONST(1000);
	view->policy.max_retry_delay = hafstack_max_retry_delay * INT64CONST(1000);
	view->stack.copied = worker->catalog->moved || worker->foreign_engine;
	view->stack.engine_up = worker->link == LINK_UP;
	view->stack.engine_note = worker->engine_note;
	view->stack.place = bundled_place(worker);
	view->stack.place_note = worker->self_note;
	view->stack.place_since = worker->self == NULL ? 0 : worker->self_seen.started_at -
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	haf_judge(&worker->haf, worker->catalog, view->now);
	decide_prepare(view);
}

typedef struct Due
{
	Worker	   *worker;
	Action	   *actions;
	size_t		n;
	bool		writes;			/* one of them changes a row */
	Deeds	   *deeds;
	int			written;
} Due;

static void
find_due(Due *due)
{
	View	   *view = &due->worker->catalog->view;

	set_view(due->worker);
	if (due->actions == NULL)
		due->actions = MemoryContextAllocHuge(due->worker->round, sizeof(Action) *
											  (2 * view->n_steps + 4 * view->n_apps + 8));
	due->n = decide(view, due->actions);
	due->writes = false;
	for (size_t i = 0; i < due->n; i++)
		due->writes |= !act_only_asks(due->actions[i].kind);
}

static void
write_due(void *arg)
{
	Due		   *due = arg;

	for (size_t i = 0; i < due->n && !due->worker->reload; i++)
	{
		if (due->writes && due->written >= BATCH_MAX)
			return;
		due->written += act_write(due->deeds, &due->actions[i]);
	}
}

/* What is due, and what that makes due: one commit, and its flush of the log,
 * for a container's end and the start of the next. */
static void
write_all_work(void *arg)
{
	Due		   *due = arg;

	while (due->n > 0 && due->written < BATCH_MAX && !due->worker->reload)
	{
		write_due(due);
		find_due(due);
	}
}

static bool
carry_out(Due *due, CatalogWork work)
{
	bool		written = true;

	due->deeds = act_begin(due->worker);
	if (due->writes)
		written = worker_transaction(due->worker, work, due);
	else
		write_due(due);
	act_finish(due->deeds, written);
	return written;
}

/* One row that somebody has locked must not hold what has to do with others.
 * False: nothing could be written. */
static bool
carry_out_singly(Due *all)
{
	bool		any = false;

	for (size_t i = 0; i < all->n && !all->worker->reload; i++)
	{
		Due			one = *all;

		one.actions = &all->actions[i];
		one.n = 1;
		one.written = 0;
		one.writes = !act_only_asks(one.actions->kind);
		any |= carry_out(&one, write_due);
	}
	return any;
}

/* False: there is more to do. */
static bool
decide_and_act(Worker *worker)
{
	for (int pass = 0; pass < ROUND_PASSES && worker->catalog->exists; pass++)
	{
		Due			due = {.worker = worker};

		if (worker->reload && !reload_catalog(worker))
			return true;
		find_due(&due);
		if (due.n == 0)
			return true;
		if (!carry_out(&due, write_all_work))
		{
			find_due(&due);
			if (!carry_out_singly(&due))
				return true;
		}
		preflight_begin(worker);
	}
	return !worker->catalog->exists;
}

/* ---- Publish ---------------------------------------------------------------------- */

static void
publish_app(Worker *worker, const Owners *owners, int at, AppPublished *out)
{
	const App  *app = &worker->catalog->view.apps[at];
	const AppInfo *info = &worker->catalog->app_info[at];
	double		gain;

	memset(out, 0, offsetof(AppPublished, waiting_for) + 1);
	strlcpy(out->app, app->name, sizeof(out->app));
	out->current_block = info->current_block;
	out->blocks_behind = info->blocks_behind;
	out->blocks_per_second = info->current_block >= 0 ? info->rate : -1;
	gain = info->rate - Max(worker->haf.rate, 0);
	out->eta_seconds = info->blocks_behind == 0 ? 0 :
		info->blocks_behind > 0 && gain * ETA_MAX_S > info->blocks_behind ? info->blocks_behind / gain : -1;
	explain(&worker->catalog->view, owners, at, out->waiting_for, WORDS_MAX);
}

static void
reserve_work(void *arg)
{
	hafstack_reserve_progress(*(int *) arg);
}

static void
publish(Worker *worker)
{
	Catalog    *catalog = worker->catalog;
	WorkerPublished *out = palloc0(sizeof(WorkerPublished));
	int			n = catalog->exists ? catalog->view.n_apps - 1 : 0;
	AppPublished *apps = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(AppPublished) * Max(n, 1));
	Owners		owners = {-1, -1};

	out->pid = MyProcPid;
	out->docker_reachable = worker->link == LINK_UP;
	strlcpy(out->docker_host, hafstack_docker_host, WORDS_MAX);
	if (worker->engine)
		strlcpy(out->docker_api, engine_api_version(worker->engine), sizeof(out->docker_api));
	strlcpy(out->last_error, worker->link == LINK_UP ? worker->last_error : worker->engine_note, WORDS_MAX);
	haf_publish(&worker->haf, catalog, &out->haf);
	if (catalog->exists)
	{
		set_view(worker);
		owners = decide_owners(&catalog->view);
		explain(&catalog->view, &owners, -1, out->waiting_for, WORDS_MAX);
		explain(&catalog->view, &owners, HAF_APP, out->haf.waiting_for, WORDS_MAX);
	}
	for (int i = 0; i < n; i++)
		publish_app(worker, &owners, i + 1, &apps[i]);
	if (!hafstack_progress_fits(n) && !worker_transaction(worker, reserve_work, &n))
		n = 0;					/* what cannot be shown is done all the same */
	hafstack_publish(out, apps, n);
}

/* No catalog could be loaded yet. */
static void
publish_trouble(Worker *worker)
{
	WorkerPublished *out = palloc0(sizeof(WorkerPublished));

	out->pid = MyProcPid;
	strlcpy(out->docker_host, hafstack_docker_host, WORDS_MAX);
	strlcpy(out->last_error, worker->last_error, WORDS_MAX);
	snprintf(out->waiting_for, WORDS_MAX, "hafstack's tables cannot be read: %.400s", worker->last_error);
	out->haf.irreversible_block = -1;
	hafstack_publish(out, NULL, 0);
}

/* ---- Wait --------------------------------------------------------------------------- */

static long
milliseconds_until(TimestampTz now, TimestampTz when)
{
	return when <= now ? 0 : Min((when - now + 999) / 1000, 60000);
}

/* One list at a time: one that does not come is the Engine's silence, and its
 * own time limit tells. */
static bool
may_resync(const Worker *worker)
{
	return worker->link == LINK_UP && worker->list_tag == 0;
}

static long
time_to_wait(Worker *worker)
{
	TimestampTz now = GetCurrentTimestamp();
	long		wait = milliseconds_until(now, worker->next_look);

	if (worker->next_decision != INT64_MAX)
		wait = Min(wait, milliseconds_until(now, worker->next_decision));
	if (worker->link == LINK_DOWN)
		wait = Min(wait, milliseconds_until(now, worker->next_connect));
	else if (may_resync(worker))
		wait = Min(wait, milliseconds_until(now, worker->next_resync));
	if (worker->engine)
	{
		long		engine = engine_wait_ms(worker->engine);

		if (engine >= 0)
			wait = Min(wait, engine);
	}
	return wait;
}

/* Wait for latch, Engine or clock, whichever is first. */
static void
wait_for_something(Worker *worker)
{
	WaitEventSet *set;
	WaitEvent	occurred[2];
	long		timeout = time_to_wait(worker);

#if PG_VERSION_NUM >= 170000
	set = CreateWaitEventSet(NULL, 3);
#else
	set = CreateWaitEventSet(worker->round, 3);
#endif
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	if (worker->engine)
		AddWaitEventToSet(set, WL_SOCKET_READABLE, engine_descriptor(worker->engine), NULL, NULL);
	(void) WaitEventSetWait(set, timeout, occurred, lengthof(occurred), PG_WAIT_EXTENSION);
	FreeWaitEventSet(set);
	ResetLatch(MyLatch);
	worker_interrupts();
}

/* Locked out of the tables at the very start. */
static void
wait_for_catalog(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 BUSY_PAUSE_US / 1000, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	worker_interrupts();
}

/* ---- The process ---------------------------------------------------------------------- */

static void
reread_settings(Worker *worker)
{
	char	   *host = pstrdup(hafstack_docker_host);
	char	   *cert_path = pstrdup(hafstack_docker_cert_path);
	char	   *container = pstrdup(hafstack_container);
	int			requests = hafstack_max_docker_requests;
	int			timeout = hafstack_docker_timeout;

	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	if (strcmp(host, hafstack_docker_host) != 0 ||
		strcmp(cert_path, hafstack_docker_cert_path) != 0 ||
		strcmp(container, hafstack_container) != 0 ||
		requests != hafstack_max_docker_requests || timeout != hafstack_docker_timeout)
		observe_disconnect(worker);
}

/* A clock that was set back must not keep anything waiting. */
static void
bound_deadlines(Worker *worker, TimestampTz now)
{
	struct
	{
		TimestampTz *when;
		int			most_ms;
	}			deadlines[] =
	{
		{&worker->next_look, Max(hafstack_poll_interval, TROUBLED_LOOK_MS)},
		{&worker->next_connect, MAX_RECONNECT_MS},
		{&worker->next_resync, hafstack_resync_interval},
		{&worker->next_self, MAX_RECONNECT_MS},
	};

	for (int i = 0; i < lengthof(deadlines); i++)
		*deadlines[i].when = Min(*deadlines[i].when,
								 TimestampTzPlusMilliseconds(now, deadlines[i].most_ms));
}

/* Bring in what is new; false: nothing is. */
static bool
observe(Worker *worker)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		news = now >= worker->next_decision;

	bound_deadlines(worker, now);
	set_view(worker);
	news |= observe_replies(worker);
	if (now >= worker->next_look)
	{
		look_at_haf(worker);
		news = true;
	}
	if (worker->link == LINK_DOWN && now >= worker->next_connect)
	{
		worker->reload = true;	/* or restored them, at a time when no Engine is there */
		observe_connect(worker);
		news = true;
	}
	else if (may_resync(worker) && now >= worker->next_resync)
	{
		worker->reload = true;	/* in case somebody wrote to the tables by hand */
		observe_resync(worker);
		news = true;
	}
	bundled_observe(worker);
	observe_tell(worker);
	return news;
}

static void
one_round(Worker *worker)
{
	bool		news = false;

	if (ConfigReloadPending && worker->catalog != NULL)
	{
		reread_settings(worker);
		news = true;
	}
	if (worker->catalog == NULL || worker->reload ||
		pg_atomic_read_u64(&hafstack_shared->requests) != worker->requests_seen)
	{
		if (!reload_catalog(worker) && worker->catalog == NULL)
		{
			publish_trouble(worker);
			return;
		}
		news = true;
	}
	/* bytes of a call that come and go are no reason to think everything over */
	if (!observe(worker) && !news)
		return;
	if (!decide_and_act(worker))
		worker->next_decision = 0;
	else
		worker->next_decision = worker->catalog->exists ?
			decide_next_time(&worker->catalog->view) : INT64_MAX;
	publish(worker);
}

void
hafstack_worker_main(Datum arg)
{
	Worker	   *worker;
	HASHCTL		control = {.keysize = sizeof(uint64), .entrysize = sizeof(Call)};

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg), InvalidOid, 0);
	if (!take_office(DatumGetObjectId(arg)))
		proc_exit(0);
	pin_session();
	pgstat_report_appname("hafstack worker");

	worker = MemoryContextAllocZero(TopMemoryContext, sizeof(Worker));
	worker->round = AllocSetContextCreate(TopMemoryContext, "hafstack round", ALLOCSET_DEFAULT_SIZES);
	worker->calls = hash_create("hafstack calls", 64, &control, HASH_ELEM | HASH_BLOBS);
	worker->next_tag = 1;
	worker->haf.consistent_block = -1;
	worker->haf.rate = -1;
	for (;;)
	{
		MemoryContextSwitchTo(worker->round);
		one_round(worker);
		if (worker->catalog == NULL)
			wait_for_catalog();
		else
			wait_for_something(worker);
		MemoryContextReset(worker->round);
	}
}
