/*
 * observe.c
 *		The connection to the Engine, and what it says, into the view.
 *
 * Order on connecting: versions, then the stream of events, then the list of
 * containers; so nothing can happen unseen between list and stream.  An event
 * is never believed, it only makes us look: `seen` goes back to unknown.  An
 * answer older than what happened meanwhile is not taken in.
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "event.h"
#include "hafstack.h"
#include "worker.h"

#define RECONNECT_MS		1000
#define CLOCK_MARGIN_US		INT64CONST(5000000)	/* what the Engine's clock is known to, and more */

/* ---- Connecting -------------------------------------------------------------- */

/* Every call under way may have been carried out, or not. */
static void
lose_calls(Worker *worker)
{
	EngineReply reply = {.outcome = ENGINE_LOST, .error = "the connection to Docker was lost"};
	HASH_SEQ_STATUS status;
	Call	   *call;
	Call	   *lost = palloc(sizeof(Call) * Max(hash_get_num_entries(worker->calls), 1));
	int			n = 0;

	hash_seq_init(&status, worker->calls);
	while ((call = hash_seq_search(&status)) != NULL)
		lost[n++] = *call;
	for (int i = 0; i < n; i++)
		hash_search(worker->calls, &lost[i].tag, HASH_REMOVE, NULL);
	for (int i = 0; i < n; i++)
		if (lost[i].item < 0)
			act_settle(worker, &lost[i], &reply);
	pfree(lost);
	preflight_abandon(worker);
}

void
observe_disconnect(Worker *worker)
{
	if (worker->engine)
		engine_close(worker->engine);
	worker->engine = NULL;
	worker->link = LINK_DOWN;
	worker->connect_tag = worker->events_tag = worker->list_tag = 0;
	worker->self_tag = worker->watch_tag = 0;
	worker->next_connect = 0;
	worker->catalog->view.stack.engine_up = false;
	lose_calls(worker);
}

void
observe_lost(Worker *worker, const char *why)
{
	int			wait = Min(RECONNECT_MS << Min(worker->connect_failures, 4), MAX_RECONNECT_MS);

	observe_disconnect(worker);
	worker->connect_failures++;
	worker->next_connect = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), wait);
	strlcpy(worker->engine_note, server_text(why), sizeof(worker->engine_note));
}

/* Each change between reachable and not is one event, written until it is. */
void
observe_tell(Worker *worker)
{
	Reached		now = worker->link == LINK_UP ? REACHED : worker->engine_note[0] ? NOT_REACHED :
		worker->told;

	if (now == worker->told || !worker->catalog->exists)
		return;
	if (!worker_event(worker, "engine", now == REACHED ? "reachable" : "unreachable",
					  now == REACHED ? psprintf("API %s", engine_api_version(worker->engine)) :
					  worker->engine_note))
		return;
	worker->told = now;
	if (now == NOT_REACHED)
		ereport(LOG,
				(errmsg("hafstack cannot reach Docker at \"%s\": %s",
						hafstack_docker_host, worker->engine_note),
				 errhint("Check hafstack.docker_host, and that the server's operating system user may use the socket.")));
}

void
observe_connect(Worker *worker)
{
	EngineConfig config = {
		.docker_host = hafstack_docker_host,
		.cert_path = hafstack_docker_cert_path,
		.max_requests = hafstack_max_docker_requests,
		.timeout_ms = hafstack_docker_timeout,
		.stack_id = worker->catalog->stack_id
	};
	char		error[WORDS_MAX];

	if (!worker->catalog->exists)
	{
		/* nothing to do with an Engine before there is a stack */
		worker->next_connect = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), MAX_RECONNECT_MS);
		return;
	}
	worker->engine = engine_open(&config, error, sizeof(error));
	if (worker->engine == NULL)
	{
		observe_lost(worker, error);
		return;
	}
	worker->link = LINK_CONNECTING;
	worker->connect_tag = worker->next_tag++;
	worker->next_resync = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 60000);
	if (!engine_connect(worker->engine, worker->connect_tag))
		observe_lost(worker, "out of memory");
}

static void
store_engine_work(void *arg)
{
	Worker	   *worker = arg;

	catalog_store_engine(worker->catalog, engine_identity(worker->engine));
}

/* Is it the Engine on record?  The first one is put on record. */
void
observe_engine_identity(Worker *worker)
{
	Catalog    *catalog = worker->catalog;
	const char *identity = worker->engine ? engine_identity(worker->engine) : "";

	if (identity[0] == '\0' || !catalog->exists)
		return;
	worker->foreign_engine = catalog->engine != NULL && strcmp(catalog->engine, identity) != 0;
	if (catalog->engine == NULL && catalog->view.stack.running && !catalog->moved &&
		worker_transaction(worker, store_engine_work, worker))
		worker->reload = true;
}

static void
ask_for_list(Worker *worker)
{
	worker->list_tag = worker->next_tag++;
	worker->list_clock = ++worker->clock;
	worker->next_resync = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), hafstack_resync_interval);
	if (!engine_list(worker->engine, worker->list_tag))
		observe_lost(worker, "out of memory");
}

void
observe_resync(Worker *worker)
{
	ask_for_list(worker);
}

/* ---- What a container looks like -------------------------------------------- */

static Seen
seen_of(const EngineContainer *container)
{
	switch (container->state)
	{
		case ENGINE_STATE_CREATED:
			return SEEN_CREATED;
		case ENGINE_STATE_RUNNING:
			return SEEN_RUNNING;
		case ENGINE_STATE_EXITED:
			return SEEN_EXITED;
		case ENGINE_STATE_UNKNOWN:
			break;
	}
	return SEEN_UNKNOWN;
}

static bool
bears_our_labels(const Worker *worker, const EngineContainer *container)
{
	return container->labels.ours && worker->catalog->stack_id != NULL &&
		strcmp(container->labels.stack_id, worker->catalog->stack_id) == 0;
}

/* The step that a container was made for, -1 none (any more). */
static int
step_of(const Worker *worker, const EngineContainer *container)
{
	int			role = role_by_name(container->labels.role);
	int			at;

	if (!bears_our_labels(worker, container) || role < 0)
		return -1;
	at = catalog_find_step(worker->catalog, container->labels.app, role, container->labels.ordinal);
	if (at < 0 || worker->catalog->view.steps[at].run != container->labels.run)
		return -1;
	return at;
}

static void
set_health(Worker *worker, int at, const EngineContainer *container)
{
	Step	   *step = &worker->catalog->view.steps[at];
	const char *name = engine_health_name(container->health);

	step->has_health = container->health != ENGINE_HEALTH_NONE;
	step->healthy = container->health == ENGINE_HEALTH_HEALTHY;
	strlcpy(worker->catalog->step_info[at].health, name ? name : "", 16);
}

/* ---- The list ----------------------------------------------------------------- */

typedef struct StoreStep
{
	Worker	   *worker;
	int			at;
} StoreStep;

static void
store_step_work(void *arg)
{
	StoreStep  *store = arg;

	catalog_store_step(store->worker->catalog, store->at);
}

/*
 * A container of ours that the row does not know of: this database is older
 * than it (a restore), or the row was given up while the create call was still
 * on its way.  It is the step's container all the same.
 */
static void
adopt(Worker *worker, int at, const EngineContainer *container)
{
	Step	   *step = &worker->catalog->view.steps[at];
	StepInfo   *info = &worker->catalog->step_info[at];
	StoreStep	store = {worker, at};
	Step		before = *step;
	char		id_before[ENGINE_ID_MAX];

	strlcpy(id_before, info->id, sizeof(id_before));
	if (step->attempt != container->labels.attempt)
		step->spec_version = 0; /* of which it was made is not known */
	step->attempt = container->labels.attempt;
	step->state = STEP_CREATING;
	step->has_exit = false;
	step->seen = SEEN_UNKNOWN;
	strlcpy(info->id, container->id, sizeof(info->id));
	catalog_set_text(worker->catalog, &info->name, server_text(container->name));
	if (worker_transaction(worker, store_step_work, &store))
		return;
	*step = before;
	strlcpy(info->id, id_before, sizeof(info->id));
	worker->reload = true;		/* for its name */
}

static void
take_in_listed(Worker *worker, int at, const EngineContainer *container)
{
	Step	   *step = &worker->catalog->view.steps[at];
	StepInfo   *info = &worker->catalog->step_info[at];
	bool		newer = container->labels.attempt > step->attempt ||
		(container->labels.attempt == step->attempt && step->state == STEP_WAITING);

	if (newer && !step->done && !worker->catalog->view.stack.copied)
		adopt(worker, at, container);
	else if (strcmp(info->id, container->id) != 0)
		return;					/* a create call is under way, or an old one is left over */
	else if (step->state == STEP_EXITED)
		step->seen = step->log_stored ? seen_of(container) : SEEN_UNKNOWN;
	else if (step->state == STEP_RUNNING && container->state == ENGINE_STATE_RUNNING)
	{
		step->seen = SEEN_RUNNING;
		set_health(worker, at, container);
	}
	else
		step->seen = SEEN_UNKNOWN;	/* a list is not exact enough to act on */
}

static void
take_in_list(Worker *worker, const EngineReply *reply)
{
	View	   *view = &worker->catalog->view;
	bool	   *found = MemoryContextAllocHuge(worker->round, Max(view->n_steps, 1));

	memset(found, 0, Max(view->n_steps, 1));
	for (size_t i = 0; i < reply->count; i++)
	{
		int			at = step_of(worker, &reply->containers[i]);

		if (at < 0)
			continue;
		found[at] = true;
		if (!view->steps[at].busy && worker->catalog->step_info[at].touched < worker->list_clock)
			take_in_listed(worker, at, &reply->containers[i]);
	}
	for (int i = 0; i < view->n_steps; i++)
		if (!found[i] && !view->steps[i].busy &&
			worker->catalog->step_info[i].touched < worker->list_clock)
			view->steps[i].seen = view->steps[i].state == STEP_EXITED ? SEEN_ABSENT : SEEN_UNKNOWN;
	pfree(found);
}

static void
on_list(Worker *worker, const EngineReply *reply)
{
	worker->list_tag = 0;
	if (reply->outcome != ENGINE_OK)
	{
		observe_lost(worker, reply->error);
		return;
	}
	take_in_list(worker, reply);
	if (worker->link == LINK_UP)
		return;
	worker->link = LINK_UP;
	worker->connect_failures = 0;
	worker->engine_note[0] = '\0';
}

/* ---- Events --------------------------------------------------------------------- */

static void
on_event(Worker *worker, const EngineReply *reply)
{
	int			at = reply->count == 1 ? catalog_find_id(worker->catalog, reply->containers[0].id) : -1;
	Step	   *step;

	worker->heard_at = Max(worker->heard_at, reply->event_at);
	if (at < 0 || reply->action == ENGINE_ACTION_OTHER)
		return;
	step = &worker->catalog->view.steps[at];
	worker->catalog->step_info[at].touched = ++worker->clock;
	if (reply->action == ENGINE_ACTION_KILL)
		step->kill_seen = true;
	else
		step->seen = SEEN_UNKNOWN;
	if (reply->action == ENGINE_ACTION_START)
		step->kill_seen = false;	/* the signal was another process's */
}

/*
 * Events of the past, as far as the Engine remembers, tell who was sent a signal
 * while nobody was listening.  Where no event is known yet, our own clock says
 * since when; theirs may be another.
 */
static int64
events_since(const Worker *worker)
{
	const View *view = &worker->catalog->view;
	int64		since = worker->heard_at;

	for (int i = 0; i < view->n_steps && worker->heard_at == 0; i++)
	{
		const Step *step = &view->steps[i];
		int64		unix_time = step->started_at +
			(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

		if ((step->state == STEP_STARTING || step->state == STEP_RUNNING) &&
			(role_is_job(step->role) || step->role == ROLE_SYNC) &&
			(since == 0 || unix_time < since))
			since = unix_time;
	}
	if (worker->heard_at == 0 && since != 0)
		since += engine_clock_offset_us(worker->engine) - CLOCK_MARGIN_US;
	return since;
}

static void
on_events(Worker *worker, const EngineReply *reply)
{
	if (reply->event)
		on_event(worker, reply);
	else if (reply->outcome != ENGINE_OK)
		observe_lost(worker, reply->error);
	else if (worker->link == LINK_SUBSCRIBING)
	{
		worker->link = LINK_LISTING;
		ask_for_list(worker);
	}
}

static void
on_connect(Worker *worker, const EngineReply *reply)
{
	if (reply->outcome != ENGINE_OK)
	{
		observe_lost(worker, reply->error);
		return;
	}
	observe_engine_identity(worker);
	worker->link = LINK_SUBSCRIBING;
	worker->events_tag = worker->next_tag++;
	if (!engine_events(worker->engine, worker->events_tag, events_since(worker)))
		observe_lost(worker, "out of memory");
}

/* ---- Replies ----------------------------------------------------------------------- */

/* What a look found, before decide_settle() has its word. */
static void
take_in_look(Worker *worker, const Call *call, int at, const EngineReply *reply)
{
	Step	   *step = &worker->catalog->view.steps[at];
	StepInfo   *info = &worker->catalog->step_info[at];
	const EngineContainer *container = reply->containers;

	if (reply->outcome == ENGINE_ABSENT)
		step->seen = SEEN_ABSENT;
	if (reply->outcome != ENGINE_OK || reply->count != 1)
		return;
	if (step->state == STEP_CREATING && step_of(worker, container) != at)
	{
		step->seen = SEEN_STRANGER;
		return;
	}
	if (step->state == STEP_CREATING)
	{
		strlcpy(info->id, container->id, sizeof(info->id));
		if (step->attempt != container->labels.attempt)
			step->spec_version = 0; /* of an earlier call, and maybe of an earlier spec */
		step->attempt = container->labels.attempt;
	}
	/* not when something has happened since the question was put */
	step->seen = info->touched > call->clock ? SEEN_UNKNOWN : seen_of(container);
	if (seen_of(container) == SEEN_UNKNOWN)
		step->quiet_until = GetCurrentTimestamp() + BUSY_PAUSE_US;
	step->seen_exit = container->exit_code;
	step->seen_started = container->started_at == 0 ? 0 : container->started_at -
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	info->tty = container->tty;
	info->oom = container->oom_killed;
	if (step->refused && info->error == NULL && container->error[0] != '\0')
		catalog_set_text(worker->catalog, &info->error, server_text(container->error));
	set_health(worker, at, container);
}

static void
on_reply(Worker *worker, const EngineReply *reply)
{
	Call	   *found = hash_search(worker->calls, &reply->tag, HASH_FIND, NULL);
	Call		call;
	int			at;

	if (found == NULL)
		return;
	call = *found;
	hash_search(worker->calls, &reply->tag, HASH_REMOVE, NULL);
	if (call.item >= 0)
	{
		preflight_settle(worker, &call, reply);
		return;
	}
	at = catalog_find_step(worker->catalog, call.app, call.role, call.ordinal);
	if (at < 0)
		return;
	if (call.action.kind == ACT_LOOK)
		take_in_look(worker, &call, at, reply);
	if (call.action.kind == ACT_HISTORY && reply->outcome == ENGINE_OK)
		worker->catalog->view.steps[at].ever_started = reply->started ? ANSWER_YES : ANSWER_NO;
	act_settle(worker, &call, reply);
}

static void
take_in(Worker *worker, const EngineReply *reply)
{
	if (reply->tag == worker->connect_tag)
		on_connect(worker, reply);
	else if (reply->tag == worker->events_tag)
		on_events(worker, reply);
	else if (reply->tag == worker->list_tag)
		on_list(worker, reply);
	else if (reply->tag == worker->self_tag)
		bundled_on_self(worker, reply);
	else if (reply->tag == worker->watch_tag)
		bundled_on_watch(worker, reply);
	else
		on_reply(worker, reply);
}

/*
 * Events first: that a container was sent a signal has to be known before an
 * answer of the same moment tells its exit code.
 */
bool
observe_replies(Worker *worker)
{
	List	   *replies = NIL;
	EngineReply *reply;
	ListCell   *cell;

	if (worker->engine == NULL)
		return false;
	engine_run(worker->engine);
	while ((reply = engine_next(worker->engine)) != NULL)
		replies = lappend(replies, reply);
	foreach(cell, replies)
		if (((EngineReply *) lfirst(cell))->event)
			take_in(worker, lfirst(cell));
	foreach(cell, replies)
	{
		reply = lfirst(cell);
		/* the connection may have been given up meanwhile, and its calls with it */
		if (!reply->event && worker->engine != NULL)
			take_in(worker, reply);
		engine_reply_free(reply);
	}
	return replies != NIL;
}
