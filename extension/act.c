/*
 * act.c
 *		Carries actions out: the intent or fact is written and committed first,
 *		then the call goes out; its outcome is written when it comes.
 *
 * Whatever cannot be written is taken back in memory, and tried again.  An
 * outcome that cannot be written is forgotten: the row still says `creating`
 * or `starting`, and the container is looked at as after a crash.
 */
#include "postgres.h"

#include <signal.h>

#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "event.h"
#include "hafstack.h"
#include "worker.h"

/* What an action may change, to be put back when it cannot be written. */
typedef struct Before
{
	Step		step;
	App			app;
	Stack		stack;
	int64		next_seq;
} Before;

/* An action on its way into the catalog. */
typedef struct Deed
{
	Worker	   *worker;
	struct Deed *previous;
	Action		action;
	Before		before;
	SpecContainer container;	/* CREATE: what the spec says; malloc'd */
	bool		dropped;		/* what is wanted has changed meanwhile */
	bool		spec_failed;
	char		error[ENGINE_ERROR_MAX];
	const char *log;			/* a log to store */
	StepState	from;			/* the step's state before */
	int			from_phase;
} Deed;

struct Deeds
{
	Worker	   *worker;
	Deed	   *last;
};

Outcome
outcome_of(const EngineReply *reply)
{
	switch (reply->outcome)
	{
		case ENGINE_OK:
			return OUTCOME_OK;
		case ENGINE_ABSENT:
			return OUTCOME_ABSENT;
		case ENGINE_CONFLICT:
			return OUTCOME_CONFLICT;
		case ENGINE_REFUSED:
			return OUTCOME_REFUSED;
		case ENGINE_UNREACHABLE:
			return OUTCOME_UNREACHABLE;
		case ENGINE_LOST:
			break;
	}
	return OUTCOME_LOST;
}

/* ---- Words and events ------------------------------------------------------- */

static const char *
app_or_null(const Worker *worker, int app)
{
	return app > HAF_APP ? worker->catalog->view.apps[app].name : NULL;
}

/* "setup 1, haf-a-setup: exited with code 3" */
static char *
step_words(const Worker *worker, int at, const char *what)
{
	const Step *step = &worker->catalog->view.steps[at];
	const StepInfo *info = &worker->catalog->step_info[at];

	return psprintf("%s %d%s%s%s%s", role_names[step->role], step->ordinal,
					info->name ? ", " : "", info->name ? info->name : "",
					what ? ": " : "", what ? what : "");
}

static void
step_event(const Deed *deed, const char *kind, const char *to, const char *what)
{
	int			at = deed->action.step;

	event_write(kind, app_or_null(deed->worker, deed->action.app),
				step_state_names[deed->from], to, step_words(deed->worker, at, what));
}

/* It ended as we asked it to, before it had to be killed. */
static bool
obeyed(const Step *step)
{
	return step->stopping && !role_is_job(step->role) && step->exit_code != 128 + SIGKILL;
}

/* Set the step's error to fit what has just become of it. */
static void
describe(Worker *worker, const Action *action)
{
	Step	   *step = &worker->catalog->view.steps[action->step];
	StepInfo   *info = &worker->catalog->step_info[action->step];
	char	  **error = &info->error;

	switch (action->kind)
	{
		case ACT_CREATE:
		case ACT_NOTE_UP:
			catalog_set_text(worker->catalog, error, NULL);
			break;
		case ACT_NOTE_EXIT:
			if (step->done || obeyed(step) || (step->role == ROLE_HANDOFF && step->exit_code == 0))
				catalog_set_text(worker->catalog, error, NULL);
			else if (step->role == ROLE_HANDOFF && step->exit_code == HANDOFF_UNSTARTED)
				catalog_set_text(worker->catalog, error, "a container of the chain could not be started");
			else
				catalog_set_text(worker->catalog, error,
								 psprintf("exited with code %d%s%s", step->exit_code,
										  info->oom ? ", out of memory" : "",
										  step->stopping ? " when it was stopped" :
										  step->kill_seen ? ", after a signal" : ""));
			break;
		case ACT_NOTE_LOST:
			catalog_set_text(worker->catalog, error, role_is_job(step->role) ?
							 "outcome unknown: the container was gone before its exit code was stored" :
							 "the container was removed by somebody else");
			break;
		case ACT_NOTE_REFUSED:
			if (step_is_chained(&worker->catalog->view, step))
				catalog_set_text(worker->catalog, error,
								 "could not be started: SELECT hafstack.logs(NULL, 'handoff') says why");
			break;
		case ACT_NOTE_STRANGER:
			if (step->seen == SEEN_STRANGER)	/* else the Engine's words stay */
				catalog_set_text(worker->catalog, error,
								 psprintf("the name \"%s\" is taken by a container that is not hafstack's; it was left alone",
										  info->name ? info->name : ""));
			break;
		case ACT_NOTE_CREATED:
			catalog_set_text(worker->catalog, error, NULL);
			break;
		default:
			break;
	}
}

static const char *
event_target(const Step *step, ActionKind kind)
{
	switch (kind)
	{
		case ACT_NOTE_UP:
			return "up";
		case ACT_NOTE_LOST:
			return "lost";
		default:
			return step_state_names[step->state];
	}
}

/* The events of what has just become of a step. */
static void
announce_step(const Deed *deed)
{
	const Step *step = &deed->worker->catalog->view.steps[deed->action.step];
	const StepInfo *info = &deed->worker->catalog->step_info[deed->action.step];
	ActionKind	kind = deed->action.kind;

	switch (kind)
	{
		case ACT_LOOK:
		case ACT_NOTE_STEADY:
		case ACT_LOG:
			return;
		case ACT_NOTE_STRANGER:
			step_event(deed, "warning", event_target(step, kind), info->error);
			break;
		default:
			/* intents are not news: the outcome will be */
			if (step->state == STEP_CREATING || step->state == STEP_STARTING ||
				step->state == STEP_REMOVING || (step->state == deed->from && kind != ACT_NOTE_UP))
				return;
			step_event(deed, "container", event_target(step, kind), info->error);
	}
	if (step->failures > 0 && step->retry_at > deed->worker->catalog->view.now && !step->failed)
		step_event(deed, "retry", NULL,
				   psprintf("attempt %d came to nothing (%s); the next at %s", step->attempt,
							info->error ? info->error : "unknown", timestamptz_to_str(step->retry_at)));
}

/* Why an app is failed: its first failed step's error, or the preflight's. */
static const char *
failure_words(const Worker *worker, int at)
{
	const Catalog *catalog = worker->catalog;
	const App  *app = &catalog->view.apps[at];

	if (!app->failed)
		return NULL;
	for (int i = app->first_step; i < app->first_step + app->n_steps; i++)
		if (catalog->view.steps[i].failed)
			return step_words(worker, i, catalog->step_info[i].error);
	return catalog->app_info[at].preflight_error;
}

static const char *
stack_failure_words(const Worker *worker)
{
	const View *view = &worker->catalog->view;
	StringInfoData names;

	if (!view->stack.failed)
		return NULL;
	initStringInfo(&names);
	for (int i = 0; i < view->n_apps && names.len < 200; i++)
		if (view->apps[i].failed && !view->apps[i].aside)
			appendStringInfo(&names, "%s%s", names.len ? ", " : "",
							 i == HAF_APP ? "HAF" : view->apps[i].name);
	return psprintf("failed: %s", names.data);
}

/* Has a failed app failed anew, for another reason?  While it is tried, and
 * nothing is known, what is said stays. */
static const char *
newer_failure(const Worker *worker, int at)
{
	const Catalog *catalog = worker->catalog;
	const App  *app = &catalog->view.apps[at];

	if (!app->failed)
		return NULL;
	for (int i = app->first_step; i < app->first_step + app->n_steps; i++)
	{
		const char *words;

		if (!catalog->view.steps[i].failed)
			continue;
		if (catalog->step_info[i].error == NULL)
			return NULL;
		words = step_words(worker, i, catalog->step_info[i].error);
		return app->error == NULL || strcmp(app->error, words) != 0 ? words : NULL;
	}
	return NULL;
}

static void
report_failure(const Worker *worker, int app, const char *words)
{
	const char *name = app_or_null(worker, app);

	ereport(LOG,
			(errmsg("hafstack: %s has failed: %s", name ? name : "HAF", words ? words : ""),
			 errhint("See hafstack.status() and hafstack.logs(); then call hafstack.retry(), skip() or hold().")));
}

/* ---- Into the catalog ------------------------------------------------------- */

static void
write_phase(Deed *deed)
{
	const Action *action = &deed->action;
	View	   *view = &deed->worker->catalog->view;

	if (action->kind == ACT_STACK_PHASE)
	{
		catalog_store_stack(deed->worker->catalog, stack_failure_words(deed->worker), true);
		event_write("phase", NULL, stack_phase_names[deed->from_phase],
					stack_phase_names[view->stack.phase], NULL);
		return;
	}
	catalog_store_app(deed->worker->catalog, action->app, failure_words(deed->worker, action->app), true);
	event_write("phase", view->apps[action->app].name, app_phase_names[deed->from_phase],
				app_phase_names[view->apps[action->app].phase], NULL);
}

static void
write_failed(Deed *deed)
{
	Worker	   *worker = deed->worker;
	int			app = deed->action.app;
	const char *words;

	if (app < 0)
	{
		catalog_store_stack(worker->catalog, stack_failure_words(worker), false);
		return;
	}
	words = failure_words(worker, app);
	catalog_store_app(worker->catalog, app, words, false);
	if (deed->action.to)
	{
		event_write("failure", app_or_null(worker, app), NULL, "failed", words);
		report_failure(worker, app, words);
	}
	else
		event_write("failure", app_or_null(worker, app), "failed", NULL, "no longer failed");
}

static void
write_end_of_run(Deed *deed)
{
	int			app = deed->action.app;
	const char *name = deed->worker->catalog->view.apps[app].name;
	const char *from = app_phase_names[deed->from_phase];

	if (deed->action.kind == ACT_RENEW)
	{
		catalog_renew(deed->worker->catalog, app);
		event_write("phase", name, from, app_phase_names[APP_REGISTERED], "reset");
	}
	else
	{
		catalog_forget(deed->worker->catalog, app);
		event_write("phase", name, from, "removed", NULL);
	}
	deed->worker->reload = true;
}

static void
store_step(Deed *deed)
{
	Catalog    *catalog = deed->worker->catalog;
	int			app = deed->action.app;
	const char *words = newer_failure(deed->worker, app);

	catalog_store_step(catalog, deed->action.step);
	if (words != NULL)
		catalog_store_app(catalog, app, words, false);
	announce_step(deed);
}

/* The view has the same words as the row, which has just been committed. */
static void
keep_failure(Worker *worker, const Action *action)
{
	const char *words = action->kind == ACT_APP_FAILED ? failure_words(worker, action->app) :
		newer_failure(worker, action->app);

	if (words != NULL || action->kind == ACT_APP_FAILED)
		catalog_set_text(worker->catalog, (char **) &worker->catalog->view.apps[action->app].error, words);
}

/* What the spec makes of the step now.  False: the spec cannot be built, which
 * registration should have found. */
static bool
build_container(Deed *deed)
{
	Clone		clone = {0};
	bool		built;

	Worker	   *worker = deed->worker;
	const Step *step = &worker->catalog->view.steps[deed->action.step];
	SpecLabels	labels = {worker->catalog->stack_id, step->run, step->attempt};
	SpecContext context;
	SpecError	error;
	char	   *spec;

	catalog_spec(worker->catalog, step->app, step->role, &context, &spec);
	if (spec_is_cloned(&context, role_names[step->role]) &&
		!bundled_base(worker, step, &context, &clone))
	{
		strlcpy(deed->error, "the container that the server runs in cannot be cloned", sizeof(deed->error));
		return false;
	}
	built = spec != NULL &&
		spec_build(&context, role_names[step->role], spec, step->ordinal, &labels,
				   &deed->container, &error);
	clone_free(&clone);
	if (built)
		return true;
	strlcpy(deed->error, spec ? error.message : "the role has no spec any more", sizeof(deed->error));
	return false;
}

static void
write_create(Deed *deed)
{
	Catalog    *catalog = deed->worker->catalog;
	StepInfo   *info = &catalog->step_info[deed->action.step];

	info->id[0] = info->health[0] = '\0';
	if (build_container(deed))
	{
		catalog_set_text(catalog, &info->name, deed->container.name);
		catalog_set_text(catalog, &info->image, deed->container.image);
		return;
	}
	deed->spec_failed = true;
	decide_settle(&catalog->view, &deed->action, OUTCOME_REFUSED);
	catalog_set_text(catalog, &info->error, deed->error);
}

/* Does it rest on what is wanted?  What has been observed is true anyway. */
static bool
rests_on_wishes(ActionKind kind)
{
	return action_is_call(kind) || kind == ACT_STACK_PHASE || kind == ACT_APP_PHASE ||
		kind == ACT_RENEW || kind == ACT_FORGET;
}

static void
write_deed(Deed *deed)
{
	ActionKind	kind = deed->action.kind;

	if (rests_on_wishes(kind) && !catalog_confirm(deed->worker->catalog, deed->action.app))
	{
		deed->dropped = true;
		return;
	}
	switch (kind)
	{
		case ACT_STACK_PHASE:
		case ACT_APP_PHASE:
			write_phase(deed);
			return;
		case ACT_APP_FAILED:
			write_failed(deed);
			return;
		case ACT_RENEW:
		case ACT_FORGET:
			write_end_of_run(deed);
			return;
		default:
			break;
	}
	if (kind == ACT_CREATE)
		write_create(deed);
	store_step(deed);
}

/* ---- Calls -------------------------------------------------------------------- */

uint64
act_new_call(Worker *worker, const Action *action, int item)
{
	uint64		tag = worker->next_tag++;
	Call	   *call = hash_search(worker->calls, &tag, HASH_ENTER, NULL);

	memset((char *) call + sizeof(tag), 0, sizeof(Call) - sizeof(tag));
	call->action = *action;
	call->item = item;
	call->clock = ++worker->clock;
	if (action->step >= 0)
	{
		const Step *step = &worker->catalog->view.steps[action->step];

		strlcpy(call->app, worker->catalog->view.apps[step->app].name, sizeof(call->app));
		call->role = step->role;
		call->ordinal = step->ordinal;
	}
	return tag;
}

static bool
send_call(Deed *deed, uint64 tag)
{
	Engine	   *engine = deed->worker->engine;
	const StepInfo *info = &deed->worker->catalog->step_info[deed->action.step];

	switch (deed->action.kind)
	{
		case ACT_CREATE:
			return engine_create(engine, tag, info->name, deed->container.body);
		case ACT_START:
			return engine_start(engine, tag, info->id);
		case ACT_STOP:
			if (deed->worker->catalog->view.steps[deed->action.step].role == ROLE_HANDOFF)
				return engine_kill(engine, tag, info->id, "SIGUSR1");	/* see handoff.c */
			return engine_stop(engine, tag, info->id, -1);
		case ACT_KILL:
			return engine_kill(engine, tag, info->id, "SIGKILL");
		case ACT_REMOVE:
			return engine_remove(engine, tag, info->id);
		case ACT_LOOK:
			return engine_inspect(engine, tag, info->id[0] ? info->id : info->name);
		case ACT_HISTORY:
			return engine_history(engine, tag, info->id);
		case ACT_LOG:
			return engine_logs(engine, tag, info->id, hafstack_log_tail_lines, info->tty);
		default:
			return false;
	}
}

static void
send_deed(Deed *deed)
{
	Worker	   *worker = deed->worker;
	uint64		tag = act_new_call(worker, &deed->action, -1);
	Call		call;
	EngineReply reply = {.outcome = ENGINE_UNREACHABLE, .error = "the call could not be sent"};

	worker->catalog->view.steps[deed->action.step].busy = true;
	worker->catalog->step_info[deed->action.step].touched = worker->clock;
	if (worker->engine != NULL && send_call(deed, tag))
		return;
	call = *(Call *) hash_search(worker->calls, &tag, HASH_FIND, NULL);
	hash_search(worker->calls, &tag, HASH_REMOVE, NULL);
	act_settle(worker, &call, &reply);
}

/* ---- act ------------------------------------------------------------------------ */

static void
remember(const View *view, const Action *action, Before *before)
{
	if (action->step >= 0)
		before->step = view->steps[action->step];
	if (action->app >= 0)
		before->app = view->apps[action->app];
	before->stack = view->stack;
	before->next_seq = view->next_seq;
}

static void
put_back(Catalog *catalog, const Action *action, const Before *before)
{
	View	   *view = &catalog->view;

	if (action->step >= 0)
		view->steps[action->step] = before->step;
	if (action->app >= 0)
		view->apps[action->app] = before->app;
	view->stack = before->stack;
	view->next_seq = before->next_seq;
}

Deeds *
act_begin(Worker *worker)
{
	Deeds	   *deeds = MemoryContextAllocZero(worker->round, sizeof(Deeds));

	deeds->worker = worker;
	return deeds;
}

/* Room for one more; it outlives the transaction. */
static Deed *
add_deed(Deeds *deeds, const Action *action)
{
	const View *view = &deeds->worker->catalog->view;
	Deed	   *deed = MemoryContextAllocZero(deeds->worker->round, sizeof(Deed));

	deed->worker = deeds->worker;
	deed->action = *action;
	if (action->step >= 0)
		deed->from = view->steps[action->step].state;
	deed->from_phase = action->app < 0 ? (int) view->stack.phase : (int) view->apps[action->app].phase;
	remember(view, action, &deed->before);
	deed->previous = deeds->last;
	deeds->last = deed;
	return deed;
}

/* Looks and logs change no row, and nor does the beginning of a check. */
bool
act_only_asks(ActionKind kind)
{
	return kind == ACT_LOOK || kind == ACT_HISTORY || kind == ACT_LOG || kind == ACT_PREFLIGHT;
}

bool
act_write(Deeds *deeds, const Action *action)
{
	Worker	   *worker = deeds->worker;
	View	   *view = &worker->catalog->view;
	Deed	   *deed = add_deed(deeds, action);

	decide_intend(view, action);
	if (!act_only_asks(action->kind))
	{
		if (action->step >= 0)
			describe(worker, action);
		write_deed(deed);
		if (deed->dropped)
		{
			put_back(worker->catalog, action, &deed->before);
			worker->reload = true;
			return false;
		}
		if (action->app >= 0)
			keep_failure(worker, action);
	}
	if (action->step >= 0)
		view->steps[action->step].busy |= action_is_call(action->kind) && !deed->spec_failed;
	return true;
}

/* The oldest first. */
static Deed *
in_order(Deed *last)
{
	Deed	   *first = NULL;

	while (last)
	{
		Deed	   *previous = last->previous;

		last->previous = first;
		first = last;
		last = previous;
	}
	return first;
}

/* Nothing came of it: the step is left alone for a moment. */
static void
pause_step(View *view, const Action *action)
{
	if (action->step >= 0)
		view->steps[action->step].quiet_until = view->now + BUSY_PAUSE_US;
}

void
act_finish(Deeds *deeds, bool committed)
{
	if (!committed)
	{
		for (Deed *deed = deeds->last; deed; deed = deed->previous)
		{
			if (!deed->dropped)
				put_back(deeds->worker->catalog, &deed->action, &deed->before);
			spec_free(&deed->container);
		}
		/* the one that threw; those before it are due as they were */
		if (deeds->last)
			pause_step(&deeds->worker->catalog->view, &deeds->last->action);
	}
	else
		for (Deed *deed = in_order(deeds->last); deed; deed = deed->previous)
		{
			/* the checks of all apps are begun together, by preflight_begin() */
			if (!deed->dropped && !deed->spec_failed && action_is_call(deed->action.kind) &&
				deed->action.kind != ACT_PREFLIGHT)
				send_deed(deed);
			spec_free(&deed->container);
		}
}

/* ---- Outcomes -------------------------------------------------------------------- */

typedef struct Warning
{
	Worker	   *worker;
	int			at;
	const char *words;
} Warning;

static void
warning_work(void *arg)
{
	Warning    *warning = arg;
	const Step *step = &warning->worker->catalog->view.steps[warning->at];

	event_write("warning", app_or_null(warning->worker, step->app), step_state_names[step->state], NULL,
				step_words(warning->worker, warning->at, warning->words));
}

/*
 * A call that the Engine refuses, and that is made again and again because
 * nothing else can be done: said in status() as long as it lasts, once as an
 * event and in the log.
 */
static void
set_trouble(Worker *worker, int at, const char *words)
{
	Step	   *step = &worker->catalog->view.steps[at];
	Warning		warning = {worker, at, words};

	if (words == NULL ? step->trouble == NULL : step->trouble != NULL && strcmp(step->trouble, words) == 0)
		return;
	if (words != NULL && !worker_transaction(worker, warning_work, &warning))
		return;					/* the call is repeated, and so is this */
	catalog_set_text(worker->catalog, (char **) &step->trouble, words);
	if (words == NULL)
		return;
	ereport(LOG,
			(errmsg("hafstack: %s", step_words(worker, at, words)),
			 errhint("The call is repeated until Docker carries it out.")));
}

static const char *
refusal_of(ActionKind kind)
{
	switch (kind)
	{
		case ACT_CREATE:
			return "could not be created";
		case ACT_START:
			return "could not be started";
		case ACT_STOP:
		case ACT_KILL:
			return "could not be stopped";
		case ACT_REMOVE:
			return "could not be removed";
		case ACT_LOOK:
		case ACT_HISTORY:
			return "could not be looked at";
		default:
			return NULL;
	}
}

/* Words for a call that came to nothing. */
static void
describe_outcome(Worker *worker, const Action *action, const EngineReply *reply)
{
	StepInfo   *info = &worker->catalog->step_info[action->step];
	bool		begins = action->kind == ACT_CREATE || action->kind == ACT_START;
	const char *what = refusal_of(action->kind);
	const char *trouble = worker->catalog->view.steps[action->step].trouble;
	const char *words;

	if (what == NULL || reply->outcome == ENGINE_LOST || reply->outcome == ENGINE_UNREACHABLE)
		return;
	words = psprintf("%s: %s", what, server_text(reply->error));
	if (begins && reply->outcome != ENGINE_OK)
		catalog_set_text(worker->catalog, &info->error, words);
	else if (!begins && (reply->outcome == ENGINE_REFUSED || reply->outcome == ENGINE_CONFLICT))
		set_trouble(worker, action->step, words);
	else if (trouble != NULL && strncmp(trouble, what, strlen(what)) == 0)
		set_trouble(worker, action->step, NULL);	/* this call is refused no longer */
}

static void
outcome_work(void *arg)
{
	Deed	   *deed = arg;

	if (deed->log != NULL)
		catalog_store_log(deed->worker->catalog, deed->action.step, deed->log);
	store_step(deed);
}

static const char *
log_text(const EngineReply *reply)
{
	return server_text(reply->outcome == ENGINE_OK && reply->text ? reply->text :
					   reply->error[0] ? reply->error : "");
}

/* Does the outcome of this call change what is stored? */
static bool
is_stored(ActionKind kind, const Step *before, const Step *after, const StepInfo *info)
{
	if (kind == ACT_LOOK)
		return after->state == STEP_RUNNING && strcmp(info->health, info->stored_health) != 0;
	return before->state != after->state || before->log_stored != after->log_stored ||
		before->failures != after->failures || before->attempt != after->attempt ||
		before->spec_version != after->spec_version;
}

void
act_settle(Worker *worker, const Call *call, const EngineReply *reply)
{
	View	   *view = &worker->catalog->view;
	int			at = catalog_find_step(worker->catalog, call->app, call->role, call->ordinal);
	Deed		deed = {.worker = worker, .action = call->action};
	Action	   *action = &deed.action;
	Step	   *step;
	StepInfo   *info;

	if (at < 0)
		return;
	step = &view->steps[at];
	info = &worker->catalog->step_info[at];
	action->step = at;
	action->app = step->app;
	step->busy = false;
	view->now = GetCurrentTimestamp();
	remember(view, action, &deed.before);
	deed.from = step->state;
	if (action->kind == ACT_CREATE && reply->outcome == ENGINE_OK && reply->count == 1)
		strlcpy(info->id, reply->containers[0].id, ENGINE_ID_MAX);
	describe_outcome(worker, action, reply);
	decide_settle(view, action, outcome_of(reply));
	info->touched = ++worker->clock;
	if (action->kind == ACT_LOG && step->log_stored)
		deed.log = log_text(reply);
	if (!is_stored(action->kind, &deed.before.step, step, info))
		return;
	if (worker_transaction(worker, outcome_work, &deed))
	{
		keep_failure(worker, action);
		if (action->kind == ACT_LOOK)
			strlcpy(info->stored_health, info->health, sizeof(info->stored_health));
		return;
	}
	put_back(worker->catalog, action, &deed.before);
	pause_step(view, action);
	step->seen = SEEN_UNKNOWN;
}
