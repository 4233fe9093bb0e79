/*
 * hafstack.c
 *		What the postmaster loads: settings, shared memory, hooks, and the
 *		launcher.
 *
 * The launcher is a static background worker without a database.  It starts
 * the one worker (worker.c) whenever hafstack.database exists, holds the
 * extension, and nobody needs the database to himself.  It runs only after
 * recovery, so never on a standby.
 *
 * The hooks make DROP DATABASE, ALTER DATABASE and CREATE DATABASE ... TEMPLATE
 * end the worker first, and tell the launcher when a look is worth while, so
 * that neither has to poll.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "hafstack.h"

PG_MODULE_MAGIC;

#define LAUNCHER_NAP_MS		60000	/* a look even when nobody called */
#define WORKER_RESTART_MS	1000
#define INVALID_DATABASE	(-2)	/* datconnlimit after an interrupted DROP DATABASE; named in headers since 15.4 */
#define END_WORKER_MS		5000
#define LOCK_FILE			"hafstack.lock"
#define LOCK_WAIT_MS		5000	/* a server that ends removes its pid file a moment before its lock goes */
#define LOCK_NAP_MS			50

#if PG_VERSION_NUM < 160000
#define owns_database(db)	pg_database_ownercheck((db), GetUserId())
#else
#define owns_database(db)	object_ownercheck(DatabaseRelationId, (db), GetUserId())
#endif

char	   *hafstack_database = "haf_block_log";
char	   *hafstack_docker_host;
char	   *hafstack_docker_cert_path;
char	   *hafstack_container;
int			hafstack_docker_timeout;
int			hafstack_max_docker_requests;
int			hafstack_poll_interval;
int			hafstack_resync_interval;
int			hafstack_max_attempts;
int			hafstack_retry_delay;
int			hafstack_max_retry_delay;
int			hafstack_log_tail_lines;
int			hafstack_live_blocks_behind;
int			hafstack_live_max_age;

HafstackShared *hafstack_shared = NULL;

static shmem_startup_hook_type prev_shmem_startup_hook = NULL;
#if PG_VERSION_NUM >= 150000
static shmem_request_hook_type prev_shmem_request_hook = NULL;
#endif
static ProcessUtility_hook_type prev_process_utility = NULL;
static object_access_hook_type prev_object_access = NULL;

/* of the current transaction */
static bool wake_worker = false;
static bool wake_launcher = false;
static bool inhibits_worker = false;

/* the worker's mapping of shared->progress */
static dsm_segment *progress_segment = NULL;

void		_PG_init(void);

/* ---- Settings ---------------------------------------------------------- */

static void
define_string(const char *name, const char *description, char **variable,
			  const char *value, GucContext context)
{
	DefineCustomStringVariable(name, description, NULL, variable, value,
							   context, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
}

static void
define_int(const char *name, const char *description, int *variable,
		   int value, int min, int max, int flags)
{
	DefineCustomIntVariable(name, description, NULL, variable, value, min, max,
							PGC_SIGHUP, flags, NULL, NULL, NULL);
}

static void
define_settings(void)
{
	define_string("hafstack.docker_host", "Docker Engine to use, as DOCKER_HOST: unix:// or tcp://.",
				  &hafstack_docker_host, "unix:///var/run/docker.sock", PGC_SIGHUP);
	define_string("hafstack.docker_cert_path", "Folder with ca.pem, cert.pem and key.pem; TLS is then required.",
				  &hafstack_docker_cert_path, "", PGC_SIGHUP);
	define_string("hafstack.container", "Container that this server runs in; empty: found out.",
				  &hafstack_container, "", PGC_SIGHUP);
	define_int("hafstack.docker_timeout", "Time limit of one Engine call; start, stop and pull have their own.",
			   &hafstack_docker_timeout, 30000, 100, 3600000, GUC_UNIT_MS);
	define_int("hafstack.max_docker_requests", "Engine calls at once.",
			   &hafstack_max_docker_requests, 16, 1, 1000, 0);
	define_int("hafstack.poll_interval", "Time between looks at HAF's tables.",
			   &hafstack_poll_interval, 250, 10, 3600000, GUC_UNIT_MS);
	define_int("hafstack.resync_interval", "Time between full comparisons with the Engine.",
			   &hafstack_resync_interval, 30000, 1000, 86400000, GUC_UNIT_MS);
	define_int("hafstack.max_attempts", "Attempts of a job; of a service before failed shows.",
			   &hafstack_max_attempts, 3, 1, 1000, 0);
	define_int("hafstack.retry_delay", "Time before the first retry; doubles from one to the next.",
			   &hafstack_retry_delay, 10000, 0, 86400000, GUC_UNIT_MS);
	define_int("hafstack.max_retry_delay", "Longest time between two retries.",
			   &hafstack_max_retry_delay, 300000, 0, 86400000, GUC_UNIT_MS);
	define_int("hafstack.log_tail_lines", "Lines kept of the log of each ended container.",
			   &hafstack_log_tail_lines, 100, 0, 10000, 0);
	define_int("hafstack.live_blocks_behind", "An app at most this many blocks behind HAF is in sync.",
			   &hafstack_live_blocks_behind, 1, 0, 1000000, 0);
	define_int("hafstack.live_max_age", "HAF is live only when its head block is younger; 0: any age.",
			   &hafstack_live_max_age, 300000, 0, INT_MAX, GUC_UNIT_MS);
}

/* ---- Shared memory ------------------------------------------------------- */

static void
request_shared(void)
{
#if PG_VERSION_NUM >= 150000
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
#endif
	RequestAddinShmemSpace(MAXALIGN(sizeof(HafstackShared)));
	RequestNamedLWLockTranche("hafstack", 1);
}

static void
startup_shared(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	hafstack_shared = ShmemInitStruct("hafstack", sizeof(HafstackShared), &found);
	if (!found)
	{
		memset(hafstack_shared, 0, sizeof(HafstackShared));
		hafstack_shared->lock = &GetNamedLWLockTranche("hafstack")->lock;
		hafstack_shared->progress = DSM_HANDLE_INVALID;
		pg_atomic_init_u64(&hafstack_shared->requests, 0);
		pg_atomic_init_u64(&hafstack_shared->changes, 0);
		ConditionVariableInit(&hafstack_shared->changed);
	}
	LWLockRelease(AddinShmemInitLock);
}

bool
hafstack_progress_fits(int count)
{
	return count == 0 || (progress_segment != NULL &&
						  dsm_segment_map_length(progress_segment) >= sizeof(AppPublished) * count);
}

/* In a transaction and without the lock: memory may be short. */
void
hafstack_reserve_progress(int count)
{
	Size		size = sizeof(AppPublished) * Max(count, 16);
	dsm_segment *old = progress_segment;
	dsm_segment *segment = dsm_create(size + size / 2, 0);

	dsm_pin_mapping(segment);
	LWLockAcquire(hafstack_shared->lock, LW_EXCLUSIVE);
	progress_segment = segment;
	hafstack_shared->progress = dsm_segment_handle(segment);
	hafstack_shared->progress_count = 0;
	LWLockRelease(hafstack_shared->lock);
	if (old != NULL)
		dsm_detach(old);
}

void
hafstack_publish(const WorkerPublished *worker, const AppPublished *apps, int count)
{
	Assert(hafstack_progress_fits(count));
	LWLockAcquire(hafstack_shared->lock, LW_EXCLUSIVE);
	hafstack_shared->worker = *worker;
	if (count > 0)
		memcpy(dsm_segment_address(progress_segment), apps, sizeof(AppPublished) * count);
	hafstack_shared->progress_count = count;
	LWLockRelease(hafstack_shared->lock);
}

void
hafstack_read_published(WorkerPublished *worker, AppPublished **apps, int *count)
{
	*apps = NULL;
	*count = 0;
	if (hafstack_shared == NULL)
	{
		memset(worker, 0, sizeof(*worker));
		strlcpy(worker->not_running, "hafstack is not in shared_preload_libraries", WORDS_MAX);
		return;
	}

	LWLockAcquire(hafstack_shared->lock, LW_SHARED);
	*worker = hafstack_shared->worker;
	if (hafstack_shared->database == MyDatabaseId &&
		hafstack_shared->progress_count > 0)
	{
		/* the worker replaces the segment only under the exclusive lock */
		dsm_segment *segment = dsm_attach(hafstack_shared->progress);

		if (segment != NULL)
		{
			*count = hafstack_shared->progress_count;
			*apps = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(AppPublished) * *count);
			memcpy(*apps, dsm_segment_address(segment), sizeof(AppPublished) * *count);
			dsm_detach(segment);
		}
	}
	LWLockRelease(hafstack_shared->lock);
}

bool
hafstack_is_home(void)
{
	char	   *name;

	if (hafstack_shared == NULL || !IsTransactionState())
		return false;
	name = get_database_name(MyDatabaseId);
	return name != NULL && strcmp(name, hafstack_database) == 0;
}

/* ---- Waking worker and launcher ------------------------------------------ */

static void
set_latch_of(Latch *latch)
{
	if (latch != NULL)
		SetLatch(latch);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	/* what is prepared is looked at again when the worker looks by itself */
	bool		commit = event == XACT_EVENT_COMMIT || event == XACT_EVENT_PARALLEL_COMMIT ||
		event == XACT_EVENT_PREPARE;

	if (!commit && event != XACT_EVENT_ABORT && event != XACT_EVENT_PARALLEL_ABORT)
		return;
	if (wake_worker && commit)
		pg_atomic_fetch_add_u64(&hafstack_shared->requests, 1);
	if (wake_worker || wake_launcher)
	{
		Latch	   *worker,
				   *launcher;

		LWLockAcquire(hafstack_shared->lock, LW_EXCLUSIVE);
		hafstack_shared->inhibitors -= inhibits_worker;
		worker = wake_worker ? hafstack_shared->worker_latch : NULL;
		launcher = wake_launcher ? hafstack_shared->launcher_latch : NULL;
		hafstack_shared->calls += wake_launcher;
		LWLockRelease(hafstack_shared->lock);
		set_latch_of(worker);
		set_latch_of(launcher);
	}
	wake_worker = wake_launcher = inhibits_worker = false;
}

void
hafstack_wake_at_commit(void)
{
	if (hafstack_shared != NULL)
		wake_worker = true;
}

/* ---- Hooks ------------------------------------------------------------------ */

/*
 * End the worker of this database and keep the launcher from starting another
 * before the current transaction is over.
 */
static void
end_worker(Oid database)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), END_WORKER_MS);
	pid_t		pid;

	LWLockAcquire(hafstack_shared->lock, LW_EXCLUSIVE);
	pid = hafstack_shared->database == database ? hafstack_shared->worker.pid : 0;
	hafstack_shared->inhibitors += !inhibits_worker;
	LWLockRelease(hafstack_shared->lock);
	inhibits_worker = wake_launcher = true;

	if (pid != 0)
		kill(pid, SIGTERM);
	while (pid != 0 && GetCurrentTimestamp() < deadline)
	{
		ConditionVariableTimedSleep(&hafstack_shared->changed, 50, PG_WAIT_EXTENSION);
		LWLockAcquire(hafstack_shared->lock, LW_SHARED);
		pid = hafstack_shared->worker.pid;
		LWLockRelease(hafstack_shared->lock);
	}
	ConditionVariableCancelSleep();
}

static void
on_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (prev_object_access)
		prev_object_access(access, class_id, object_id, sub_id, arg);
	if (hafstack_shared == NULL ||
		(class_id != DatabaseRelationId && class_id != ExtensionRelationId))
		return;
	if (access != OAT_DROP && access != OAT_POST_CREATE && access != OAT_POST_ALTER)
		return;
	wake_launcher = true;
	if (class_id == ExtensionRelationId)
		wake_worker = true;		/* it may be ours that came or went */
	else if (access == OAT_DROP && object_id != MyDatabaseId)
		end_worker(object_id);
}

/* The database that this statement needs to itself, NULL none.  DROP DATABASE
 * is for on_object_access(), which comes after the privilege check. */
static const char *
needs_alone(Node *statement)
{
	ListCell   *cell;

	if (IsA(statement, RenameStmt))
	{
		RenameStmt *rename = (RenameStmt *) statement;

		return rename->renameType == OBJECT_DATABASE ? rename->subname : NULL;
	}
	if (IsA(statement, CreatedbStmt))
	{
		foreach(cell, ((CreatedbStmt *) statement)->options)
		{
			DefElem    *option = lfirst_node(DefElem, cell);

			if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
				return defGetString(option);
		}
	}
	if (IsA(statement, AlterDatabaseStmt))
	{
		foreach(cell, ((AlterDatabaseStmt *) statement)->options)
			if (strcmp(lfirst_node(DefElem, cell)->defname, "tablespace") == 0)
				return ((AlterDatabaseStmt *) statement)->dbname;
	}
	return NULL;
}

static void
on_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	if (hafstack_shared != NULL && !RecoveryInProgress())
	{
		const char *name = needs_alone(pstmt->utilityStmt);
		Oid			database = name ? get_database_oid(name, true) : InvalidOid;

		if (OidIsValid(database) && database != MyDatabaseId && owns_database(database))
			end_worker(database);
	}
	if (prev_process_utility)
		prev_process_utility(pstmt, query, read_only_tree, context, params, environment, dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, environment, dest, qc);
}

/* ---- Launcher ------------------------------------------------------------- */

/*
 * Oid of hafstack.database, InvalidOid when there is none.  A process without a
 * database cannot count on indexes of shared catalogs, hence the plain scan.
 */
static Oid
find_home(void)
{
	Oid			database = InvalidOid;
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database row = (Form_pg_database) GETSTRUCT(tuple);

		if (row->datallowconn && row->datconnlimit != INVALID_DATABASE && strcmp(NameStr(row->datname), hafstack_database) == 0)
			database = row->oid;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	return database;
}

static BackgroundWorkerHandle *
launch_worker(Oid database)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle = NULL;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "hafstack");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "hafstack_worker_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "hafstack worker");
	snprintf(worker.bgw_type, BGW_MAXLEN, "hafstack worker");
	LWLockAcquire(hafstack_shared->lock, LW_EXCLUSIVE);
	hafstack_shared->in_office = false;
	LWLockRelease(hafstack_shared->lock);
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("hafstack cannot start its worker: no free background worker slot"),
				 errhint("Increase max_worker_processes.")));
	return handle;
}

/* Say in status() why there is no worker. */
static void
say_not_running(const char *format)
{
	LWLockAcquire(hafstack_shared->lock, LW_EXCLUSIVE);
	if (hafstack_shared->worker.pid == 0)
		snprintf(hafstack_shared->worker.not_running, WORDS_MAX, format, hafstack_database);
	LWLockRelease(hafstack_shared->lock);
}

static bool
worker_may_start(void)
{
	bool		may;

	LWLockAcquire(hafstack_shared->lock, LW_SHARED);
	may = hafstack_shared->worker.pid == 0 && hafstack_shared->inhibitors == 0;
	LWLockRelease(hafstack_shared->lock);
	return may;
}

static void
forget_launcher(int code, Datum arg)
{
	LWLockAcquire(hafstack_shared->lock, LW_EXCLUSIVE);
	hafstack_shared->launcher_latch = NULL;
	LWLockRelease(hafstack_shared->lock);
}

typedef struct Launcher
{
	BackgroundWorkerHandle *handle; /* of the worker that runs, or ran last */
	TimestampTz next_try;
	uint64		calls_seen;
} Launcher;

/* When to try again after the worker has ended.  One that found no extension, or
 * could not even begin, would fare no better a moment later: wait until called, as
 * CREATE EXTENSION does. */
static void
schedule_next(Launcher *launcher)
{
	TimestampTz now = GetCurrentTimestamp();
	pid_t		pid;

	LWLockAcquire(hafstack_shared->lock, LW_SHARED);
	if (launcher->handle != NULL &&
		GetBackgroundWorkerPid(launcher->handle, &pid) == BGWH_STOPPED)
	{
		pfree(launcher->handle);
		launcher->handle = NULL;
		launcher->next_try =
			TimestampTzPlusMilliseconds(now, hafstack_shared->no_extension || !hafstack_shared->in_office ?
										LAUNCHER_NAP_MS : WORKER_RESTART_MS);
	}
	/* a call while it ran may have come too late for its own look */
	if (launcher->handle == NULL && launcher->calls_seen != hafstack_shared->calls)
	{
		launcher->calls_seen = hafstack_shared->calls;
		launcher->next_try = now;
	}
	LWLockRelease(hafstack_shared->lock);
}

/* One look: start the worker if it is missing and may run.  Returns
 * milliseconds to sleep unless called. */
static long
launcher_round(Launcher *launcher)
{
	long		wait;
	Oid			database;

	schedule_next(launcher);
	if (launcher->handle != NULL || !worker_may_start())
		return LAUNCHER_NAP_MS;
	wait = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), launcher->next_try);
	if (wait > 0)
		return wait;
	launcher->next_try = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LAUNCHER_NAP_MS);
	database = find_home();
	if (!OidIsValid(database))
		say_not_running("database \"%s\" (hafstack.database) does not exist");
	else if ((launcher->handle = launch_worker(database)) == NULL)
		say_not_running("no free background worker slot for database \"%s\": increase max_worker_processes");
	return LAUNCHER_NAP_MS;
}

void
hafstack_launcher_main(Datum arg)
{
	Launcher	launcher = {0};

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	before_shmem_exit(forget_launcher, 0);
	LWLockAcquire(hafstack_shared->lock, LW_EXCLUSIVE);
	hafstack_shared->launcher_latch = MyLatch;
	LWLockRelease(hafstack_shared->lock);

	for (;;)
	{
		long		nap = launcher_round(&launcher);

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 nap, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}

/* ---- Load ------------------------------------------------------------------ */

static void
register_launcher(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "hafstack");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "hafstack_launcher_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "hafstack launcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "hafstack launcher");
	RegisterBackgroundWorker(&worker);
}

/*
 * One server at a time over this data directory.  postmaster.pid does not see to
 * that where servers are in containers: each has process ids and shared memory
 * of its own.  The kernel's lock on a file does, whoever starts the second one.
 *
 * The descriptor is never closed, and every child has it: a backend that outlives
 * its postmaster has the data open, so the lock rightly stays.  A program that a
 * backend runs does not inherit it.
 */
static void
lock_data_directory(void)
{
	char		path[MAXPGPATH];
	int			waited = 0;
	int			fd;

	snprintf(path, sizeof(path), "%s/%s", DataDir, LOCK_FILE);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		ereport(FATAL,
				(errcode_for_file_access(),
				 errmsg("hafstack could not open lock file \"%s\": %m", path)));
	while (flock(fd, LOCK_EX | LOCK_NB) != 0)
	{
		if (errno != EWOULDBLOCK && errno != EINTR)
			ereport(FATAL,
					(errcode_for_file_access(),
					 errmsg("hafstack could not lock file \"%s\": %m", path)));
		if (waited >= LOCK_WAIT_MS)
			ereport(FATAL,
					(errcode(ERRCODE_LOCK_FILE_EXISTS),
					 errmsg("data directory \"%s\" is in use by another server", DataDir),
					 errdetail("The server that has it open holds the lock on file \"%s\".", path),
					 errhint("It may be in another container: only one container with this data directory may run.")));
		pg_usleep(LOCK_NAP_MS * 1000L);
		waited += LOCK_NAP_MS;
	}
}

void
_PG_init(void)
{
	define_settings();
	if (process_shared_preload_libraries_in_progress)
	{
		if (IsPostmasterEnvironment && !IsUnderPostmaster)
			lock_data_directory();
		define_string("hafstack.database", "The one database with a worker.",
					  &hafstack_database, "haf_block_log", PGC_POSTMASTER);
#if PG_VERSION_NUM >= 150000
		prev_shmem_request_hook = shmem_request_hook;
		shmem_request_hook = request_shared;
#else
		request_shared();
#endif
		prev_shmem_startup_hook = shmem_startup_hook;
		shmem_startup_hook = startup_shared;
		prev_process_utility = ProcessUtility_hook;
		ProcessUtility_hook = on_utility;
		prev_object_access = object_access_hook;
		object_access_hook = on_object_access;
		RegisterXactCallback(at_transaction_end, NULL);
		register_launcher();
	}
#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved("hafstack");
#else
	EmitWarningsOnPlaceholders("hafstack");
#endif
}
