/*
 * rules.c
 *		The rules of the design, by code that asks none of decide.c's predicates.
 *
 * What counts is what Docker did: real processes, real containers.  Where an
 * outsider started, stopped or removed a container by hand, what only he can
 * have caused is excused.
 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

static int64_t passed[4096];	/* by uid: version whose preflight passed */

void
rules_begin(void)
{
	memset(passed, 0, sizeof(passed));
}

void
rules_preflight(int uid, int64_t version)
{
	passed[uid] = version;
}

/* ---- What is true -------------------------------------------------------- */

static const App *
view_app(int at)
{
	return &sim.worker.apps[at];
}

static Fate *
step_fate(int at, Role role, int ordinal)
{
	const App  *app = view_app(at);
	Label		label = {sim.worker.uids[at], role, ordinal, app->run, 0};

	return fate_of(&label);
}

/* It exited 0 by itself, and must not run again: nobody can have lost sight of
 * that, and asked for another run. */
static bool
through(const Fate *fate)
{
	return fate->succeeded && !fate->outsider && !(fate->unknown && fate->retried);
}

static bool
truly_done(int at, Role role)
{
	const App  *app = view_app(at);

	for (int ordinal = 1; ordinal <= app->count[role] && !app->counts_done[role]; ordinal++)
	{
		const Fate *fate = step_fate(at, role, ordinal);

		if (!fate->succeeded && !fate->skipped && !fate->outsider)
			return false;
	}
	return true;
}

static bool
leaving(const App *app)
{
	return app->removing || app->run != app->current_run;
}

static bool
held_with(int at)
{
	const App  *app = view_app(at);
	bool		held = app->held;

	for (int d = 0; d < app->n_depends_on && !held; d++)
		held = held_with(app->depends_on[d]);
	return held;
}

static bool
aside(int at)
{
	const App  *app = view_app(at);

	if (leaving(app) || held_with(at))
		return true;
	for (int d = 0; d < app->n_depends_on && app->phase < APP_SETUP_DONE; d++)
		if (aside(app->depends_on[d]))
			return true;
	return false;
}

bool
rules_aside(int app)
{
	return aside(app);
}

static bool
haf_is_live(void)
{
	return sim.worker.view.stack.haf_live && truly_done(HAF_APP, ROLE_LIVE_SYNC);
}

static bool
preflight_passed(int at)
{
	const App  *app = view_app(at);

	return passed[sim.worker.uids[at]] ==
		sim.worker.view.stack.spec_version + app->spec_version;
}

static bool
has_containers(int at)
{
	for (int role = 0; role < ROLES; role++)
		if (view_app(at)->count[role] > 0 && !view_app(at)->counts_done[role])
			return true;
	return false;
}

/* Other processes of ours in this role; by Docker. */
static const Container *
running_other(const Container *than, Role role)
{
	for (int i = 0; i < CONTAINERS_MAX; i++)
	{
		const Container *container = &sim.world.containers[i];

		if (container->id && container != than && container->ours &&
			container->state == SEEN_RUNNING && container->label.role == role)
			return container;
	}
	return NULL;
}

/* ---- Intents ------------------------------------------------------------- */

static void
may_work(const Action *action, const char *what)
{
	const Stack *stack = &sim.catalog.stack;

	if (stack->copied)
		violated(11, "%s in a copied database", what);
	if (stack->paused)
		violated(11, "%s while paused", what);
	if (!stack->running)
		violated(11, "%s while stopped", what);
	if (aside(action->app))
		violated(4, "%s of an app that is aside", what);
	if (!preflight_passed(action->app) && action->kind == ACT_CREATE)
		violated(12, "%s without a preflight", what);
}

static void
create_intent(const Action *action, const Step *step, const Step *before)
{
	const Fate *fate = step_fate(action->app, step->role, step->ordinal);

	may_work(action, "create");
	if (role_is_job(step->role) && (before->failed || before->done))
		violated(7, "a %s job gets a container", before->done ? "done" : "failed");
	if (role_is_job(step->role) && through(fate))
		violated(7, "a job that exited 0 gets another container");
	if (before->retry_at > sim.world.now)
		violated(7, "the delay before an attempt is not over");
}

static void
setup_start(const Action *action)
{
	const App  *app = view_app(action->app);

	if (!haf_is_live())
		violated(2, "a setup starts while HAF is not live");
	if (sim.catalog.stack.phase < STACK_APP_SETUP)
		violated(2, "a setup starts before the stack's phase app_setup");
	for (int d = 0; d < app->n_depends_on; d++)
		if (leaving(view_app(app->depends_on[d])) ||
			view_app(app->depends_on[d])->phase < APP_SETUP_DONE)
			violated(3, "a setup starts before one it depends on is done");
}

static void
index_start(const Action *action)
{
	if (sim.catalog.stack.phase != STACK_INDEX_BUILD)
		violated(1, "an index build in stack phase %d", (int) sim.catalog.stack.phase);
	for (int i = 1; i < action->app; i++)
		if (!aside(i) && !truly_done(i, ROLE_INDEX))
			violated(1, "an index build out of order");
}

/* It has ended, and the worker cannot know yet. */
static bool
end_unheard(const Step *step)
{
	const Container *container = container_by_id(sim.worker.ids[step - sim.worker.steps]);

	return step->seen == SEEN_RUNNING && (!container || container->state != SEEN_RUNNING);
}

/* Containers of a role start one after the other. */
static void
predecessors(const Action *action, const Step *step)
{
	for (int ordinal = 1; ordinal < step->ordinal; ordinal++)
	{
		const Fate *fate = step_fate(action->app, step->role, ordinal);
		const Step *before = step - (step->ordinal - ordinal);

		if (role_is_job(step->role) ? !fate->succeeded && !fate->skipped && !fate->outsider :
			!fate->was_up && !before->done && !end_unheard(before))
			violated(11, "a container starts before the one before it is through");
	}
}

static void
start_intent(const Action *action, const Step *step)
{
	const App  *app = view_app(action->app);

	if (sim.bundled && (step->role == ROLE_INDEX || step->role == ROLE_INSTANCE))
		return;					/* chain_rules.c */
	may_work(action, "start");
	predecessors(action, step);
	switch (step->role)
	{
		case ROLE_INDEX:
			index_start(action);
			break;
		case ROLE_INSTANCE:
			if (sim.catalog.stack.phase < STACK_HAF_SYNC)
				violated(1, "HAF starts in stack phase %d", (int) sim.catalog.stack.phase);
			break;
		case ROLE_SETUP:
			setup_start(action);
			break;
		case ROLE_SYNC:
			if (app->phase < APP_SYNC)
				violated(4, "a sync starts in app phase %d", (int) app->phase);
			break;
		case ROLE_LIVE_SYNC:
			if (action->app != HAF_APP && app->phase != APP_SYNC)
				violated(5, "a detector starts in app phase %d", (int) app->phase);
			break;
		case ROLE_API:
			if (app->phase < APP_LIVE)
				violated(5, "an API starts before its app is live");
			break;
		case ROLE_RECOVERY:
		case ROLE_HANDOFF:
			if (!sim.bundled)
				violated(1, "a container of the bundled topology starts in another");
			break;
	}
}

/* May a container of label's be made because step is over? */
static bool
follows(int at, const Step *step, int other_at, Role other)
{
	bool		own = at == other_at;

	switch (step->role)
	{
		case ROLE_INDEX:
			return other == ROLE_INDEX || other == ROLE_INSTANCE;
		case ROLE_SETUP:
			return other == ROLE_SETUP || (own && other == ROLE_SYNC);
		case ROLE_LIVE_SYNC:
			return at == HAF_APP ? other == ROLE_SETUP : own && other == ROLE_API;
		default:
			return false;
	}
}

/* Any container made later, of a role that comes after; or made before, when the
 * order was another one. */
static bool
successor_exists(int at, const Step *step, int seq)
{
	for (int i = 0; i < sim.world.n_fates; i++)
	{
		const Fate *fate = &sim.world.fates[i];
		bool		own = fate->label.uid == sim.worker.uids[at];
		const Container *container = fate->last_seq ? container_by_name(&fate->label) : NULL;

		if (own && fate->label.role == step->role && fate->label.ordinal == step->ordinal)
			continue;
		if (own && fate->label.run == step->run && fate->label.role > step->role &&
			step->role != ROLE_INDEX && fate->last_seq)
			return true;
		if (fate->last_seq > seq &&
			(own || step->role == ROLE_INDEX || step->role == ROLE_SETUP || at == HAF_APP))
			return true;
		if (container && container->ours && fate->label.role == step->role)
			return true;
	}
	return false;
}

static void
remove_done(const Action *action, const Step *step)
{
	const Container *container = container_by_id(sim.worker.ids[action->step]);

	if (sim.meddled || !container || successor_exists(action->app, step, container->seq))
		return;
	for (int i = 0; i < sim.worker.view.n_steps; i++)
	{
		const Step *other = &sim.worker.steps[i];
		const App  *app = view_app(other->app);

		if (follows(action->app, step, other->app, other->role) && !aside(other->app) &&
			other->state == STEP_WAITING && !other->done && !other->failed &&
			!app->counts_done[other->role] && other->ordinal <= app->count[other->role] &&
			(other->role != ROLE_INDEX || sim.catalog.stack.phase <= STACK_INDEX_BUILD))
			violated(6, "removed before its successor was created");
	}
}

/* A service that fell is not well for having been started again. */
static void
up_note(const Action *action, const Step *before)
{
	const Container *container = container_by_id(sim.worker.ids[action->step]);
	const Step *step = &sim.worker.steps[action->step];

	if (end_unheard(step))
		step_fate(action->app, step->role, step->ordinal)->was_up = true;
	if (before->failures > 0 && container != NULL && container->state == SEEN_RUNNING &&
		!container->has_health && container->restarts == 0 && !fate_of(&container->label)->outsider &&
		sim.world.now < container->began + sim.worker.view.policy.retry_delay)
		violated(11, "a service that fell counts as up at once");
}

static void
remove_intent(const Action *action, const Step *step, const Step *before)
{
	const App  *app = view_app(action->app);
	bool		unwanted = leaving(app) || step->run != app->run ||
		step->ordinal > app->count[step->role];

	if (sim.catalog.stack.paused)
		violated(11, "removal while paused");
	if (before->state == STEP_RUNNING)
		violated(6, "removal of a container that runs");
	if (before->state != STEP_EXITED)
		return;
	if (!before->log_stored)
		violated(6, "removal before the log was stored");
	if (unwanted || !role_is_job(step->role))
		return;
	if (before->failed && !before->done)
		violated(6, "removal of a failed job's container without a retry");
	if (before->done)
		remove_done(action, step);
	else if (before->retry_at > sim.world.now)
		violated(6, "removal before the next attempt");
}

/* stop(): the servers, then the syncs, then HAF. */
static void
stop_intent(const Action *action, const Step *step)
{
	const App  *app = view_app(action->app);

	if (leaving(app) || step->run != app->run || step->ordinal > app->count[step->role])
		return;
	if (step->role == ROLE_HANDOFF && sim.catalog.stack.paused)
		return;
	if (sim.catalog.stack.running)
		violated(11, "something is stopped while the stack runs");
	if (role_is_job(step->role) && step->role != ROLE_LIVE_SYNC && !sim.catalog.stack.force_stop)
		violated(11, "a job is stopped without force");
	if (sim.meddled)
		return;
	if ((step->role == ROLE_SYNC || step->role == ROLE_INSTANCE) && running_other(NULL, ROLE_API))
		violated(11, "a sync or HAF is stopped before the servers");
	if (step->role == ROLE_INSTANCE && running_other(NULL, ROLE_SYNC))
		violated(11, "HAF is stopped before the syncs");
}

static void
exit_intent(const Action *action, const Step *step)
{
	const Container *container = container_by_id(sim.worker.ids[action->step]);
	Fate	   *fate = step_fate(action->app, step->role, step->ordinal);

	if (step->run == view_app(action->app)->run)
	{
		fate->unknown = false;	/* somebody looked just before it went */
		fate->failed_exits += step->exit_code != 0 && !step->stopping;
	}
	if (!container || !step->done || step->run != view_app(action->app)->run)
		return;
	if (role_is_job(step->role) && !fate->succeeded && !fate->skipped && !fate->outsider)
		violated(11, "a job that did not exit 0 by itself is done");
	if (!role_is_job(step->role) && container->signalled)
		violated(11, "a sync that was ended by a signal has completed");
}

void
rules_intent(const Action *action, const Step *before)
{
	const Step *step = action->step >= 0 ? &sim.worker.steps[action->step] : NULL;

	if (sim.bundled && step)
		chain_rules_intent(action);
	switch (action->kind)
	{
		case ACT_CREATE:
			create_intent(action, step, before);
			break;
		case ACT_START:
			start_intent(action, step);
			break;
		case ACT_REMOVE:
			remove_intent(action, step, before);
			break;
		case ACT_STOP:
		case ACT_KILL:
			stop_intent(action, step);
			break;
		case ACT_NOTE_EXIT:
			exit_intent(action, step);
			break;
		case ACT_NOTE_UP:
			up_note(action, before);
			break;
		case ACT_NOTE_LOST:
			if (role_is_job(step->role) && !step->failed)
				violated(7, "an unknown outcome does not show as a failure");
			break;
		case ACT_RENEW:
		case ACT_FORGET:
			for (int i = 0; i < CONTAINERS_MAX && !sim.meddled; i++)
				if (sim.world.containers[i].id && sim.world.containers[i].ours &&
					sim.world.containers[i].state == SEEN_RUNNING &&
					sim.world.containers[i].label.uid == sim.worker.uids[action->app])
					violated(7, "an app is forgotten while its container runs");
			break;
		default:
			break;
	}
}

/* ---- Docker's side ------------------------------------------------------- */

void
rules_send(ActionKind kind, int id)
{
	const Container *container = container_by_id(id);

	if (container && !container->ours)
		violated(8, "a call for a stranger's container");
	if (id == 0 && kind != ACT_CREATE && kind != ACT_LOOK)
		violated(8, "a call without an id");
}

void
rules_created(const Container *container)
{
	int			n = 0;

	for (int i = 0; i < CONTAINERS_MAX; i++)
		n += sim.world.containers[i].id && sim.world.containers[i].ours &&
			sim.world.containers[i].label.uid == container->label.uid &&
			sim.world.containers[i].label.role == container->label.role &&
			sim.world.containers[i].label.ordinal == container->label.ordinal;
	if (n != 1)
		violated(7, "%d containers of %s", n, label_text(&container->label));
}

/* One of our start calls began a process. */
void
rules_started(const Container *container)
{
	Fate	   *fate = fate_of(&container->label);
	Role		role = container->label.role;

	if (container->our_starts > 1 && !fate->outsider)
		violated(7, "container of %s is started twice", label_text(&container->label));
	if (role_is_job(role) && through(fate))
		violated(7, "%s exited 0 and runs again", label_text(&container->label));
	if (role_is_job(role) && fate->unknown && !fate->retried)
		violated(7, "%s runs again though its outcome is unknown", label_text(&container->label));
	if (role_is_job(role) && fate->failed_exits >= MAX_ATTEMPTS &&
		!fate->outsider)
		violated(7, "%s has failed too often to run again", label_text(&container->label));
	fate->succeeded = fate->unknown = false;
	if (sim.meddled)
		return;
	if ((role == ROLE_INDEX || role == ROLE_SETUP) && running_other(container, role))
		violated(role == ROLE_INDEX ? 1 : 3, "%s runs beside another",
				 label_text(&container->label));
	if ((role == ROLE_INDEX && running_other(container, ROLE_INSTANCE)) ||
		(role == ROLE_INSTANCE && running_other(container, ROLE_INDEX)))
		violated(1, "HAF and an index build run side by side");
}

/* One of our calls removes it. */
void
rules_removed(const Container *container, const Row *row)
{
	if (container->our_starts == 0 || !row || row->id != container->id)
		return;
	/* a start that came too late for anybody to see; it will be "unknown" */
	if (row->step.state == STEP_REMOVING && !row->step.has_exit && row->step.started_at)
		return;
	if (!row->step.has_exit || !row->step.log_stored)
		violated(6, "%s is removed before its exit code and log were stored",
				 label_text(&container->label));
}

/* ---- Phases -------------------------------------------------------------- */

static void
app_phase(const Action *action, int from)
{
	const App  *app = view_app(action->app);

	if (action->to <= from)
		violated(9, "app phase %d after %d", action->to, from);
	if (aside(action->app) && action->to != APP_INDEX_BUILT && action->to != APP_SETUP_DONE)
		violated(4, "an app that is aside goes on to phase %d", action->to);
	if (action->to == APP_INDEX_BUILT && !truly_done(action->app, ROLE_INDEX))
		violated(1, "index_built without its index builds");
	if (action->to == APP_SETUP_DONE && !truly_done(action->app, ROLE_SETUP))
		violated(3, "setup_done without its setup");
	for (int i = 1; i <= app->count[ROLE_API] && action->to == APP_SERVING; i++)
		if (!step_fate(action->app, ROLE_API, i)->was_up)
			violated(5, "serving, and an API was never up");
	if (action->to == APP_SYNC && sim.catalog.stack.phase < STACK_APP_SYNC)
		violated(4, "an app passes the barrier early");
	if (action->to != APP_LIVE)
		return;
	if (app->count[ROLE_LIVE_SYNC] > 0)
	{
		if (!truly_done(action->app, ROLE_LIVE_SYNC))
			violated(5, "live without its detector");
	}
	else if (!haf_is_live() || (app->has_contexts && !app->caught_up))
		violated(5, "live though HAF or its contexts are not");
}

static void
nothing_runs(void)
{
	for (int i = 0; i < CONTAINERS_MAX && !sim.meddled; i++)
	{
		const Container *container = &sim.world.containers[i];
		bool		by_hand = container->id == sim.world.program.id && sim.world.program.by_hand;

		if (container->id && container->ours && !container->has_data && !by_hand &&
			container->state == SEEN_RUNNING)
			violated(11, "stopped, and %s still runs", label_text(&container->label));
	}
}

static void
stack_phase(const Action *action, int from)
{
	if (action->to == STACK_IDLE)
	{
		if (sim.catalog.stack.running)
			violated(9, "the stack goes back while it runs");
		nothing_runs();
		return;
	}
	if (action->to != from + 1)
		violated(9, "stack phase %d after %d", action->to, from);
	if (sim.bundled && action->to == STACK_HAF_SYNC)
		chain_rules_haf_sync();
	if (action->to == STACK_APP_SETUP && !haf_is_live())
		violated(2, "app_setup while HAF is not live");
	for (int i = 0; i < sim.worker.view.n_apps; i++)
	{
		if (i != HAF_APP && aside(i))
			continue;
		if (action->to == STACK_INDEX_BUILD && has_containers(i) && !preflight_passed(i))
			violated(12, "index_build before every preflight");
		if (i == HAF_APP)
			continue;
		if (action->to == STACK_HAF_SYNC && !truly_done(i, ROLE_INDEX))
			violated(1, "haf_sync before every index build");
		if (action->to == STACK_APP_SYNC && view_app(i)->phase < APP_SETUP_DONE)
			violated(4, "app_sync before every setup");
		if (action->to == STACK_LIVE && view_app(i)->phase < APP_LIVE)
			violated(9, "live before every app is");
	}
}

void
rules_phase(const Action *action, int from)
{
	if (action->app < 0)
		stack_phase(action, from);
	else
		app_phase(action, from);
}

/* ---- A world that stands still ------------------------------------------- */

static bool
app_done(const App *app)
{
	return app->phase == APP_SERVING || (app->phase == APP_LIVE && app->count[ROLE_API] == 0);
}

bool
rules_all_done(void)
{
	if (sim.catalog.stack.phase != STACK_LIVE || sim.catalog.stack.failed ||
		(sim.bundled && !chain_all_done()))
		return false;
	for (int i = 1; i < sim.catalog.n_apps; i++)
		if (leaving(&sim.catalog.apps[i].app) || !app_done(&sim.catalog.apps[i].app))
			return false;
	return true;
}

/* Is there anything that the worker may rightly wait for? */
static bool
has_reason(void)
{
	const View *view = &sim.worker.view;

	if (!view->stack.running || view->stack.paused || view->stack.copied ||
		(!view->stack.haf_live && !sim.bundled) || decide_next_time(view) != INT64_MAX ||
		(sim.bundled && chain_has_reason()))
		return true;
	for (int i = 0; i < view->n_apps; i++)
	{
		const App  *app = &view->apps[i];

		if (app->held || app->failed || app->check != CHECK_NONE ||
			(app->has_contexts && !app->caught_up && app->phase >= APP_SYNC))
			return true;
		/* registered too late: explain() says so */
		if (i != HAF_APP && app->phase < APP_INDEX_BUILT && view->stack.phase > STACK_INDEX_BUILD)
			return true;
	}
	for (int i = 0; i < CONTAINERS_MAX; i++)
	{
		const Container *container = &sim.world.containers[i];

		if (container->id && container->ours && container->state == SEEN_RUNNING &&
			(role_is_job(container->label.role) ||
			 (container->has_health && !container->healthy)))
			return true;
	}
	return false;
}

/* Nothing may become due before the time that the worker sleeps until. */
static void
sleeps_no_longer_than_right(void)
{
	View	   *view = &sim.worker.view;
	int64_t		now = view->now;
	int64_t		next = decide_next_time(view);
	size_t		n;

	view->now = next == INT64_MAX ? now + 3600 * SECOND : next - 1;
	n = decide(view, sim.worker.actions);
	if (n > 0)
		violated(11, "action %d is due before its time", (int) sim.worker.actions[0].kind);
	view->now = now;
}

/* Whatever the moment, and however small the room. */
void
rules_words(void)
{
	const View *view = &sim.worker.view;
	Owners		owners = decide_owners(view);
	char		words[321];
	size_t		size = chance(500) ? 320 : draw(320);

	for (int i = -1; i < view->n_apps; i++)
	{
		memset(words, 'x', sizeof(words));
		explain(view, &owners, i, words, size);
		if (words[size] != 'x' || (size > 0 && memchr(words, '\0', size) == NULL))
			violated(11, "explain() ran over");
	}
}

void
rules_still(void)
{
	const View *view = &sim.worker.view;
	Owners		owners = decide_owners(view);
	char		words[320];

	sleeps_no_longer_than_right();
	for (int i = -1; i < view->n_apps; i++)
	{
		bool		done = i < 0 ? view->stack.phase == STACK_LIVE :
			i == HAF_APP ? view->stack.phase > STACK_HAF_SYNC : app_done(&view->apps[i]);

		explain(view, &owners, i, words, sizeof(words));
		if (!done && words[0] == '\0')
			violated(11, "nobody says what holds %s", i < 0 ? "the stack" : view->apps[i].name);
		if (sim.recording)
			note("explain: %s: %s", i < 0 ? "stack" : view->apps[i].name, words);
	}
	if (sim.bundled)
		chain_rules_still();
	if (!has_reason() && !rules_all_done())
		violated(11, "everything stands still, for no reason");
}
