/*
 * hafstack.h
 *		Settings, and the shared memory through which worker, launcher and
 *		ordinary backends know of one another.
 *
 * Room (extension/hafstack.c): what the postmaster loads.  Nothing of a
 * process's own heap is ever in shared memory.
 */
#ifndef HAFSTACK_H
#define HAFSTACK_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/dsm.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#define HAFSTACK_VERSION "0.1.0"

/* settings (interface.md, "Settings"); times in milliseconds */
extern char *hafstack_database;
extern char *hafstack_docker_host;
extern char *hafstack_docker_cert_path;
extern char *hafstack_container;
extern int	hafstack_docker_timeout;
extern int	hafstack_max_docker_requests;
extern int	hafstack_poll_interval;
extern int	hafstack_resync_interval;
extern int	hafstack_max_attempts;
extern int	hafstack_retry_delay;
extern int	hafstack_max_retry_delay;
extern int	hafstack_log_tail_lines;
extern int	hafstack_live_blocks_behind;
extern int	hafstack_live_max_age;

#define WORDS_MAX	512			/* a sentence for people, in bytes */

/* What the worker last saw of HAF, for status(). */
typedef struct HafPublished
{
	bool		known;			/* was ever seen */
	char		state[NAMEDATALEN];	/* empty: hived has not connected */
	bool		live;
	bool		ready;
	bool		dirty;
	int64		irreversible_block; /* -1 none */
	TimestampTz block_time;		/* 0 none */
	TimestampTz observed_at;
	char		waiting_for[WORDS_MAX];
} HafPublished;

/* One app's progress, for status() and the view apps. */
typedef struct AppPublished
{
	char		app[NAMEDATALEN];
	int64		current_block;	/* -1 none */
	int64		blocks_behind;	/* -1 unknown */
	double		blocks_per_second;	/* < 0 unknown */
	double		eta_seconds;	/* < 0 unknown */
	char		waiting_for[WORDS_MAX]; /* empty: nothing */
} AppPublished;

typedef struct WorkerPublished
{
	pid_t		pid;			/* 0: not running */
	bool		docker_reachable;
	char		docker_host[WORDS_MAX];
	char		docker_api[16];
	char		last_error[WORDS_MAX];
	char		waiting_for[WORDS_MAX]; /* the stack's */
	char		not_running[WORDS_MAX]; /* why there is no worker, in words */
	HafPublished haf;
} WorkerPublished;

typedef struct HafstackShared
{
	LWLock	   *lock;			/* protects all below but the atomics */
	Oid			database;		/* the worker's */
	Latch	   *worker_latch;	/* in the PGPROC array, so never dangling; NULL none */
	Latch	   *launcher_latch;
	int			inhibitors;		/* transactions that need the database to themselves */
	uint64		calls;			/* of the launcher: databases or extensions changed */
	bool		in_office;		/* the last worker got so far */
	bool		no_extension;	/* it found none and left */
	WorkerPublished worker;
	dsm_handle	progress;		/* segment of AppPublished, DSM_HANDLE_INVALID none */
	uint32		progress_count;
	pg_atomic_uint64 requests;	/* committed calls of changing functions */
	pg_atomic_uint64 changes;	/* commits of the worker that wait_for() may want */
	ConditionVariable changed;	/* broadcast after each of those, and when the worker ends */
} HafstackShared;

/* NULL when the module is not in shared_preload_libraries. */
extern HafstackShared *hafstack_shared;

/* True in a server that has a worker for the current database, or will have. */
extern bool hafstack_is_home(void);

/* At commit of the current transaction: count a request and wake the worker. */
extern void hafstack_wake_at_commit(void);

/* Worker: publish; for count apps when there is room, which may have to be made
 * first (in a transaction: an error when memory is short). */
extern bool hafstack_progress_fits(int count);
extern void hafstack_reserve_progress(int count);
extern void hafstack_publish(const WorkerPublished *worker,
							 const AppPublished *apps, int count);
/* Reader: copies, palloc'd; count 0 when there is no worker. */
extern void hafstack_read_published(WorkerPublished *worker,
									AppPublished **apps, int *count);

/* Entry points of the background workers. */
extern PGDLLEXPORT void hafstack_launcher_main(Datum arg);
extern PGDLLEXPORT void hafstack_worker_main(Datum arg);

#endif							/* HAFSTACK_H */
