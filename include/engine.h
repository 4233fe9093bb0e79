/*
 * engine.h
 *		The Docker Engine API: builds the calls, reads the answers.
 *
 * Room: everything that knows what Docker's paths, statuses and JSON look like.
 * Serves the worker and hafstack_handoff alike, so no server header in here:
 * malloc(), cJSON and http.h only.  Answers are hostile until checked: whatever
 * has not the form that the API documents becomes an error in words, never a
 * crash and never a guess.
 *
 * API source: Docker Engine API reference v1.41 (Engine 20.10) to v1.47.
 */
#ifndef HAFSTACK_ENGINE_H
#define HAFSTACK_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENGINE_ID_MAX		65	/* 64 hex digits and the end */
#define ENGINE_NAME_MAX		256
#define ENGINE_ERROR_MAX	512

typedef struct Engine Engine;

typedef struct EngineConfig
{
	const char *docker_host;
	const char *cert_path;
	int			max_requests;
	int			timeout_ms;		/* of an ordinary call */
	const char *stack_id;		/* label io.hafstack.id: filter of list and events;
								 * NULL: no filter, for hafstack_handoff */
} EngineConfig;

/* Labels of ours on a container. */
typedef struct EngineLabels
{
	bool		ours;			/* bears all of them, well-formed */
	char		stack_id[64];	/* io.hafstack.id: identity of the stack */
	char		stack[64];		/* io.hafstack.stack: its name, for people */
	char		app[64];		/* empty: HAF itself */
	char		role[16];
	int			ordinal;
	int64_t		run;
	int			attempt;
} EngineLabels;

typedef enum EngineState
{
	ENGINE_STATE_UNKNOWN,
	ENGINE_STATE_CREATED,
	ENGINE_STATE_RUNNING,		/* paused and restarting too: a process is there */
	ENGINE_STATE_EXITED			/* dead too */
} EngineState;

typedef enum EngineHealth
{
	ENGINE_HEALTH_NONE,			/* no health check */
	ENGINE_HEALTH_STARTING,
	ENGINE_HEALTH_HEALTHY,
	ENGINE_HEALTH_UNHEALTHY
} EngineHealth;

typedef struct EngineContainer
{
	char		id[ENGINE_ID_MAX];
	char		name[ENGINE_NAME_MAX];	/* without the leading slash */
	EngineLabels labels;
	EngineState state;
	EngineHealth health;		/* from inspect; from a list too, by its Status text */
	int			exit_code;		/* inspect only, when exited */
	bool		oom_killed;		/* inspect only */
	bool		tty;			/* inspect only */
	int			stop_timeout;	/* inspect only: seconds, negative where it names none */
	int64_t		started_at;		/* inspect only: microseconds since 1970-01-01 UTC; 0 unknown */
	int64_t		finished_at;	/* inspect only */
	char		restart_policy[32];	/* inspect only: its name, empty where there is none */
	int			restart_retries;	/* inspect only: MaximumRetryCount */
	int			restarts;		/* inspect only: by the daemon, since it was last started */
	char		error[ENGINE_ERROR_MAX];	/* State.Error */
} EngineContainer;

typedef enum EngineCall
{
	ENGINE_CONNECT,				/* /version and /info */
	ENGINE_EVENTS,				/* the stream of events */
	ENGINE_LIST,
	ENGINE_CREATE,
	ENGINE_START,
	ENGINE_STOP,
	ENGINE_KILL,
	ENGINE_INSPECT,
	ENGINE_DESCRIBE,			/* inspect, and the Engine's own text of it */
	ENGINE_UPDATE,
	ENGINE_TOP,
	ENGINE_WAIT,				/* until it does not run */
	ENGINE_LOGS,
	ENGINE_REMOVE,
	ENGINE_HISTORY,				/* was this container ever started? (from /events) */
	ENGINE_IMAGE,
	ENGINE_PULL,
	ENGINE_NETWORK,
	ENGINE_JOIN
} EngineCall;

typedef enum EngineOutcome
{
	ENGINE_OK,
	ENGINE_ABSENT,				/* 404 */
	ENGINE_CONFLICT,			/* 409 */
	ENGINE_REFUSED,				/* any other 4xx, 5xx: the Engine said no, error has its message */
	ENGINE_UNREACHABLE,			/* nothing was sent */
	ENGINE_LOST					/* sent, but no whole, well-formed answer: the call may
								 * have been carried out */
} EngineOutcome;

typedef enum EngineAction		/* of an event, the ones anybody acts on */
{
	ENGINE_ACTION_OTHER,
	ENGINE_ACTION_CREATE,
	ENGINE_ACTION_START,
	ENGINE_ACTION_DIE,
	ENGINE_ACTION_KILL,
	ENGINE_ACTION_DESTROY,
	ENGINE_ACTION_HEALTH
} EngineAction;

typedef struct EngineReply
{
	EngineCall	call;
	uint64_t	tag;
	EngineOutcome outcome;
	int			status;			/* HTTP status, 0 none */
	char		error[ENGINE_ERROR_MAX];	/* outcome not OK: in words; never holds a request's body */

	bool		event;			/* ENGINE_EVENTS: this is one event; else, OK: the stream
								 * opened, not OK: it ended */
	EngineAction action;
	int64_t		event_at;		/* microseconds since 1970; for `since` of the next stream */
	int			signal;			/* of ENGINE_ACTION_KILL, 0 unknown */
	bool		started;		/* ENGINE_HISTORY: it was, or may have been: the Engine
								 * remembers no more than 256 events of this life */

	EngineContainer *containers;	/* LIST: count of them, all of the stack if there is one;
									 * INSPECT: one; CREATE and events: one with id (and name,
									 * labels where known) */
	size_t		count;
	char	   *text;			/* LOGS: valid UTF-8 without NUL; DESCRIBE: JSON; TOP: the
								 * names of its processes, a line each; else NULL */
} EngineReply;

extern Engine *engine_open(const EngineConfig *config, char *error, size_t error_size);
extern void engine_close(Engine *engine);
extern int	engine_descriptor(const Engine *engine);
extern long engine_wait_ms(Engine *engine);
extern void engine_run(Engine *engine);
extern EngineReply *engine_next(Engine *engine);
extern void engine_reply_free(EngineReply *reply);

/* Known after ENGINE_CONNECT was OK; empty strings before. */
extern const char *engine_api_version(const Engine *engine);
extern const char *engine_identity(const Engine *engine);	/* /info ID */
extern int64_t engine_clock_offset_us(const Engine *engine);	/* add it to our clock to have the
								 * Engine's, whose times are in events and inspects; at most
								 * as much too large as /info took */

/*
 * The calls.  Each is sent exactly once (never repeated by libcurl or here)
 * and answered by exactly one reply with the same tag; ENGINE_EVENTS by many.
 * False only when memory is short.  ids and names are quoted here.
 */
extern bool engine_connect(Engine *engine, uint64_t tag);
extern bool engine_events(Engine *engine, uint64_t tag, int64_t since);	/* 0: from now */
extern bool engine_watch(Engine *engine, uint64_t tag, const char *id, int64_t since);	/* ENGINE_EVENTS
								 * of one container, whatever its labels */
extern bool engine_list(Engine *engine, uint64_t tag);
extern bool engine_create(Engine *engine, uint64_t tag, const char *name, const char *body);
extern bool engine_start(Engine *engine, uint64_t tag, const char *id);
extern bool engine_stop(Engine *engine, uint64_t tag, const char *id, int grace_s);	/* -1: the
								 * container's own StopTimeout.  Deadline: grace (an hour
								 * where it is not known here) + timeout_ms */
extern bool engine_kill(Engine *engine, uint64_t tag, const char *id, const char *signal);
extern bool engine_inspect(Engine *engine, uint64_t tag, const char *id_or_name);
extern bool engine_describe(Engine *engine, uint64_t tag, const char *id_or_name);
extern bool engine_update(Engine *engine, uint64_t tag, const char *id_or_name,
						  const char *restart_policy, int retries);
extern bool engine_top(Engine *engine, uint64_t tag, const char *id);
extern bool engine_wait(Engine *engine, uint64_t tag, const char *id);
extern bool engine_logs(Engine *engine, uint64_t tag, const char *id, int lines, bool tty);
extern bool engine_remove(Engine *engine, uint64_t tag, const char *id);	/* v=0, no force */
extern bool engine_history(Engine *engine, uint64_t tag, const char *id);
extern bool engine_image(Engine *engine, uint64_t tag, const char *image);
extern bool engine_pull(Engine *engine, uint64_t tag, const char *image);
extern bool engine_network(Engine *engine, uint64_t tag, const char *network);
extern bool engine_join(Engine *engine, uint64_t tag, const char *network, const char *id,
						const char *endpoint);	/* endpoint: JSON, as in EndpointsConfig */

/* A word for people. */
extern const char *engine_health_name(EngineHealth health);	/* NULL for none */

#endif							/* HAFSTACK_ENGINE_H */
