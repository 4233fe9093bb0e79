/*
 * decide.c
 *		The rules: what is due next, and how a step moves from state to state.
 *
 * Room: pure functions over a View (see decide.h).  Three tables hold the
 * whole behaviour: stack_rules and app_rules have one row a phase transition,
 * step_rules one row for each (state of the row, what Docker says) that calls
 * for something.  In each table the first row that fits wins.
 */
#include <stdio.h>
#include <string.h>

#include "decide.h"

#define SECOND			INT64_C(1000000)
#define CALL_PAUSE		SECOND	/* after a call that came to nothing */
#define STEADY_TIME		(600 * SECOND)	/* a service this long up is well again */
#define SETTLE_TIME		(SECOND / 10)	/* an API without health check counts as up after it */

const char *const role_names[ROLES] =
{"index", "instance", "setup", "sync", "live_sync", "api", "recovery", "handoff"};

const char *const app_phase_names[] =
{"registered", "index_build", "index_built", "app_setup", "setup_done", "app_sync", "live", "serving", NULL};

const char *const stack_phase_names[] =
{"idle", "preflight", "index_build", "haf_sync", "app_setup", "app_sync", "live", NULL};

const char *const step_state_names[] =
{"waiting", "creating", "created", "starting", "running", "exited", "removing", "removed", NULL};

/* What containers of one role are there that may succeed others. */
typedef struct Successors
{
	int64_t		latest;			/* created_seq of the last one made, 0 none */
	bool		expected;		/* one more is still to be made */
} Successors;

/* What many predicates ask, counted once a round. */
typedef struct Summary
{
	bool		calling;		/* the Engine answers and may be asked */
	bool		acting;			/* and changed */
	bool		starting;		/* and given new work */
	bool		haf_live;
	bool		all_checked;	/* over the apps that are not aside ... */
	bool		all_indexed;
	bool		all_set_up;
	bool		all_live;
	bool		index_begun;	/* no index build is left to begin */
	int			index_owner;	/* the app whose index build it is, -1 none */
	int			setup_owner;
	int			active[ROLES];	/* steps that run or may run */
	int			active_step[ROLES]; /* one of them */
	int			next_index;		/* step to create ahead of its turn, -1 none */
	int			next_setup;
	bool		clearing;		/* a job has ended, and its container is there */
	bool		beginning;		/* a container is being made or started */
	Successors	successors[ROLES];	/* when clearing: of all apps but HAF */
	/* bundled */
	bool		handing_over;	/* the hand-off program runs, or may */
	bool		chain_wanted;	/* it should */
	bool		chain_ready;	/* every link is made */
	int			link_to_make;	/* now, -1 none */
	int64_t		chain_version;
} Summary;

static int
index_of(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n && names[i]; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

int
role_by_name(const char *name)
{
	return index_of(role_names, ROLES, name);
}

int
app_phase_by_name(const char *name)
{
	return index_of(app_phase_names, APP_SERVING + 1, name);
}

int
stack_phase_by_name(const char *name)
{
	return index_of(stack_phase_names, STACK_LIVE + 1, name);
}

int
step_state_by_name(const char *name)
{
	return index_of(step_state_names, STEP_REMOVED + 1, name);
}

bool
role_is_job(Role role)
{
	return role == ROLE_INDEX || role == ROLE_SETUP || role == ROLE_LIVE_SYNC;
}

bool
action_is_call(ActionKind kind)
{
	return kind >= ACT_PREFLIGHT;
}

static int64_t
within(int64_t value, int64_t least, int64_t most)
{
	return value < least ? least : value > most ? most : value;
}

/* ---- Facts about one step or app ------------------------------------ */

bool
app_renewing(const App *app)
{
	return app->current_run != app->run;
}

/* bundled: does it have the data directory?  Such a container is started and
 * stopped by the hand-off program alone (rule 1). */
bool
step_is_chained(const View *view, const Step *step)
{
	return view->stack.bundled &&
		(step->role == ROLE_INDEX || step->role == ROLE_INSTANCE || step->role == ROLE_RECOVERY);
}

bool
decide_hived_here(const View *view)
{
	return view->stack.place == PLACE_INSTANCE || view->stack.place == PLACE_HIVED;
}

bool
step_unwanted(const View *view, const Step *step)
{
	const App  *app = &view->apps[step->app];

	/* the chain is over */
	if ((step->role == ROLE_RECOVERY || step->role == ROLE_HANDOFF) &&
		view->stack.phase > STACK_INDEX_BUILD && decide_hived_here(view))
		return true;
	return app->removing || app_renewing(app) || step->run != app->run ||
		step->ordinal > app->count[step->role];
}

static int64_t
wanted_version(const View *view, const App *app)
{
	return view->stack.spec_version + app->spec_version;
}

/* A start was sent and what came of it is not known. */
static bool
discarding(const Step *step)
{
	return step->state == STEP_REMOVING && !step->has_exit && step->started_at != 0;
}

/* Its process runs, or may. */
bool
step_active(const Step *step)
{
	return step->state == STEP_STARTING || step->state == STEP_RUNNING ||
		step->seen == SEEN_RUNNING || discarding(step);
}

/* How long a service has to run before that says something, where its health
 * does not: one that ended before is not well for having been started again. */
static int64_t
settle_time(const View *view, const Step *step)
{
	if (step->failures > 0)
		return within(view->policy.retry_delay, SECOND, 60 * SECOND);
	return step->role == ROLE_API ? SETTLE_TIME : 0;
}

static bool
settled(const View *view, const Step *step)
{
	return step->running_since != 0 &&
		view->now >= step->running_since + settle_time(view, step);
}

/* Up, for whoever waits on it: health counts where there is a check, but
 * nobody waits for the health of a sync, or of a HAF that has days to go. */
bool
step_is_up(const View *view, const Step *step)
{
	bool		by_health = step->has_health && step->role != ROLE_SYNC && step->role != ROLE_INSTANCE;

	return step->state == STEP_RUNNING && step->seen == SEEN_RUNNING &&
		(by_health ? step->healthy : settled(view, step));
}

static bool
role_wanted(const App *app, Role role)
{
	return app->count[role] > 0 && !app->counts_done[role];
}

/* Every container of a job's role has done its work, or there is none. */
static bool
role_done(const View *view, const App *app, Role role)
{
	if (!role_wanted(app, role))
		return true;
	if (app_renewing(app))
		return false;
	for (int i = 0; i < app->count[role]; i++)
		if (!view->steps[app->role_first[role] + i].done)
			return false;
	return true;
}

/* Every container of a service's role is up (a sync may have completed). */
static bool
role_up(const View *view, const App *app, Role role)
{
	if (role == ROLE_INSTANCE && view->stack.bundled)
		return decide_hived_here(view);
	for (int i = 0; i < app->count[role]; i++)
	{
		const Step *step = &view->steps[app->role_first[role] + i];

		if (!step_is_up(view, step) && !step->done)
			return false;
	}
	return true;
}

static bool
role_was_up(const View *view, const App *app, Role role)
{
	for (int i = 0; i < app->count[role]; i++)
		if (!view->steps[app->role_first[role] + i].was_up)
			return false;
	return true;
}

static bool
step_failed_in(const View *view, const App *app)
{
	for (int i = 0; i < app->n_steps; i++)
	{
		const Step *step = &view->steps[app->first_step + i];

		if (step->failed && !step_unwanted(view, step))
			return true;
	}
	return false;
}

bool
app_checked(const View *view, const App *app)
{
	for (int role = 0; role < ROLES; role++)
		if (role_wanted(app, role))
			return app->checked_version == wanted_version(view, app);
	return true;
}

bool
app_checking(const App *app)
{
	return app->check == CHECK_RUNNING || app->check == CHECK_AGAIN;
}

bool
app_check_failed(const App *app)
{
	return app->check == CHECK_FAILED || app->check == CHECK_AGAIN;
}

bool
app_depends_set_up(const View *view, const App *app)
{
	for (int i = 0; i < app->n_depends_on; i++)
		if (view->apps[app->depends_on[i]].phase < APP_SETUP_DONE ||
			app_renewing(&view->apps[app->depends_on[i]]))
			return false;
	return true;
}

bool
decide_haf_live(const View *view)
{
	return view->stack.haf_live &&
		role_done(view, &view->apps[HAF_APP], ROLE_LIVE_SYNC);
}

/* The first of a job's containers that has work to do, -1 none. */
static int
first_pending(const View *view, const App *app, Role role)
{
	if (role_wanted(app, role))
		for (int i = 0; i < app->count[role]; i++)
			if (!view->steps[app->role_first[role] + i].done)
				return app->role_first[role] + i;
	return -1;
}

void
decide_prepare(View *view)
{
	bool		again = true;

	for (int i = 0; i < view->n_steps; i++)
	{
		Step	   *step = &view->steps[i];

		step->watched &= view->stack.engine_up;
		/* no moment is further off than the longest delay, unless the clock was set
		 * back or the delay made shorter */
		step->quiet_until = within(step->quiet_until, 0, view->now + CALL_PAUSE);
		step->retry_at = within(step->retry_at, 0, view->now + view->policy.max_retry_delay + CALL_PAUSE);
		/* a clock that was set back begins anew */
		if (step->state != STEP_RUNNING || step->running_since > view->now)
			step->running_since = 0;
		if (step->running_since == 0 && step->state == STEP_RUNNING && step->seen == SEEN_RUNNING)
			step->running_since = view->now;
	}
	for (int i = 0; i < view->n_apps; i++)
	{
		App		   *app = &view->apps[i];

		app->check_at = within(app->check_at, 0, view->now + view->policy.max_retry_delay + CALL_PAUSE);
		app->held_with = app->held;
		app->aside = app->held || app->removing || app_renewing(app);
	}
	/* what depends on such an app is so too, however far away */
	while (again)
	{
		again = false;
		for (int i = 1; i < view->n_apps; i++)
		{
			App		   *app = &view->apps[i];

			for (int d = 0; d < app->n_depends_on; d++)
			{
				const App  *other = &view->apps[app->depends_on[d]];

				if (other->held_with && !app->held_with)
					app->held_with = app->aside = again = true;
				if (other->aside && !app->aside && app->phase < APP_SETUP_DONE)
					app->aside = again = true;
			}
		}
	}
}

void
decide_keep_observed(Step *step, const Step *from)
{
	step->seen = from->seen;
	step->seen_exit = from->seen_exit;
	step->seen_started = from->seen_started;
	step->running_since = from->running_since;
	step->has_health = from->has_health;
	step->healthy = from->healthy;
	step->kill_seen = from->kill_seen;
	step->watched = from->watched;
	step->refused = from->refused;
	step->ever_started = from->ever_started;
	step->quiet_until = from->quiet_until;
	step->busy = from->busy;
}

/* ---- The summary ------------------------------------------------------ */

static void
count_active(const View *view, Summary *sum)
{
	for (int i = 0; i < view->n_steps; i++)
	{
		const Step *step = &view->steps[i];

		/* those of the chain end when the hand-off program says so */
		if (step_active(step) && !step_is_chained(view, step))
		{
			sum->active[step->role]++;
			sum->active_step[step->role] = i;
		}
		sum->clearing |= step->state == STEP_EXITED && step->done;
		sum->beginning |= step->state == STEP_CREATING || step->state == STEP_STARTING;
	}
}

/* Its container is there, or has done its work; one that is given up again does
 * not count. */
static bool
is_made(const Step *step)
{
	return step->done || (step->state >= STEP_CREATED && step->state <= STEP_EXITED);
}

static bool
is_expected(const View *view, const Step *step)
{
	const App  *app = &view->apps[step->app];

	return !app->aside && !is_made(step) && !app->counts_done[step->role] &&
		(step->role != ROLE_INDEX || view->stack.phase <= STACK_INDEX_BUILD);
}

static void
add_successors(const View *view, const App *app, Role role, Successors *to)
{
	for (int i = 0; i < app->role_steps[role]; i++)
	{
		const Step *step = &view->steps[app->role_first[role] + i];

		if (step_unwanted(view, step))
			continue;
		if (is_made(step) && step->created_seq > to->latest)
			to->latest = step->created_seq;
		to->expected |= is_expected(view, step);
	}
}

/* All together and once, or each container that is to be removed would look
 * through all the others. */
static void
count_successors(const View *view, Summary *sum)
{
	for (int i = HAF_APP + 1; i < view->n_apps; i++)
		for (int role = 0; role < ROLES; role++)
			add_successors(view, &view->apps[i], role, &sum->successors[role]);
}

static void
count_barriers(const View *view, Summary *sum)
{
	sum->all_checked = app_checked(view, &view->apps[HAF_APP]);
	sum->all_indexed = sum->all_set_up = sum->all_live = true;
	for (int i = 1; i < view->n_apps; i++)
	{
		const App  *app = &view->apps[i];

		if (app->aside)
			continue;
		sum->all_checked &= app_checked(view, app);
		sum->all_indexed &= app->phase >= APP_INDEX_BUILT;
		sum->all_set_up &= app->phase >= APP_SETUP_DONE;
		sum->all_live &= app->phase >= APP_LIVE;
	}
}

/* Index builds go strictly by place: a failed one holds those behind it. */
static void
find_index_owner(const View *view, Summary *sum)
{
	bool		ahead = true;	/* all before this one have begun their last */

	sum->index_owner = sum->next_index = -1;
	sum->index_begun = true;
	if (view->stack.phase != STACK_INDEX_BUILD)
		return;
	for (int i = 1; i < view->n_apps; i++)
	{
		const App  *app = &view->apps[i];

		if (app->aside || app->phase >= APP_INDEX_BUILT)
			continue;
		if (sum->index_owner < 0)
			sum->index_owner = i;
		for (int s = first_pending(view, app, ROLE_INDEX);
			 s >= 0 && s < app->role_first[ROLE_INDEX] + app->count[ROLE_INDEX]; s++)
		{
			bool		begun = view->steps[s].state == STEP_RUNNING;

			if (ahead && !begun && sum->next_index < 0)
				sum->next_index = s;
			ahead &= begun;
			sum->index_begun &= begun || view->steps[s].done;
		}
	}
}

/* Setups: of those that may, the one that has begun, else the first by place. */
static void
find_setup_owner(const View *view, Summary *sum)
{
	int			ready = -1,
				begun = -1;

	sum->setup_owner = sum->next_setup = -1;
	if (view->stack.phase < STACK_APP_SETUP)
		return;
	for (int i = 1; i < view->n_apps; i++)
	{
		const App  *app = &view->apps[i];
		int			step = first_pending(view, app, ROLE_SETUP);

		if (app->aside || (app->phase != APP_INDEX_BUILT && app->phase != APP_SETUP) ||
			(step >= 0 ? view->steps[step].failed : app->phase != APP_SETUP) ||
			!app_depends_set_up(view, app))
			continue;
		/* one that is through stays the owner until its phase says so: only then
		 * is it known who is ready */
		if (app->phase == APP_SETUP && begun < 0)
			begun = i;
		else if (ready < 0)
			ready = i;
	}
	if (sum->active[ROLE_SETUP] > 0)
		sum->setup_owner = view->steps[sum->active_step[ROLE_SETUP]].app;
	else
		sum->setup_owner = begun >= 0 ? begun : ready;
}

/* The setup to create while the owner's runs: its own next, else the next app's,
 * taking the owner's for done. */
static void
find_next_setup(const View *view, Summary *sum)
{
	int			owner = sum->setup_owner;
	int			step;

	if (owner < 0 || sum->active[ROLE_SETUP] != 1)
		return;
	step = first_pending(view, &view->apps[owner], ROLE_SETUP);
	if (step >= 0 && view->steps[step].ordinal < view->apps[owner].count[ROLE_SETUP])
	{
		sum->next_setup = step + 1;
		return;
	}
	for (int i = 1; i < view->n_apps; i++)
	{
		const App  *app = &view->apps[i];
		bool		ready = i != owner && !app->aside && app->phase == APP_INDEX_BUILT;

		for (int d = 0; d < app->n_depends_on && ready; d++)
			ready = app->depends_on[d] == owner ||
				view->apps[app->depends_on[d]].phase >= APP_SETUP_DONE;
		step = ready ? first_pending(view, app, ROLE_SETUP) : -1;
		if (step >= 0)
		{
			sum->next_setup = step;
			return;
		}
	}
}

/* ---- The chain of the bundled topology ---------------------------------- */

static bool
is_pending_index(const View *view, const App *app, const Step *step)
{
	return !app->aside && app->phase <= APP_INDEX_BUILD && role_wanted(app, ROLE_INDEX) &&
		!step->done && !step_unwanted(view, step);
}

/* The first index build after at, by place, that has to run yet, or runs; -1 none. */
static int
next_index(const View *view, int at, bool running)
{
	for (int i = at < 0 ? 1 : view->steps[at].app; i < view->n_apps; i++)
	{
		const App  *app = &view->apps[i];

		for (int s = app->role_first[ROLE_INDEX]; s < app->role_first[ROLE_INDEX] + app->count[ROLE_INDEX]; s++)
			if (s > at && is_pending_index(view, app, &view->steps[s]) &&
				(!running || view->steps[s].state == STEP_RUNNING))
				return s;
	}
	return -1;
}

/* The links, in order, from at = -1 on: index builds, then HAF; -1 at the end.  The
 * build in which the server is goes first, whoever has his place before it now:
 * days of work may be in it. */
static int
next_link(const View *view, int at)
{
	int			instance = view->apps[HAF_APP].role_first[ROLE_INSTANCE];
	int			first = view->stack.place == PLACE_INDEX ? next_index(view, -1, true) : -1;
	int			next;

	if (at == instance)
		return -1;
	if (at < 0 && first >= 0)
		return first;
	next = next_index(view, at == first ? -1 : at, false);
	if (next == first && next >= 0)
		next = next_index(view, first, false);
	return next < 0 ? instance : next;
}

int
decide_chain(const View *view, int *chain)
{
	int			n = 0;

	for (int at = next_link(view, -1); at >= 0; at = next_link(view, at))
		chain[n++] = at;
	return n;
}

/* What a hand-off program is told: its spec_version, for the chain may change
 * between its creation and its start. */
static int64_t
chain_version(const View *view)
{
	const App  *haf = &view->apps[HAF_APP];
	uint64_t	version = (uint64_t) wanted_version(view, haf) * 8 + view->stack.place;

	for (int at = next_link(view, -1); at >= 0; at = next_link(view, at))
		version = version * UINT64_C(1099511628211) + (uint64_t) view->steps[at].created_seq;
	version = version * UINT64_C(1099511628211) +
		(uint64_t) view->steps[haf->role_first[ROLE_RECOVERY]].created_seq;
	return (int64_t) (version >> 1);
}

/* May containers be cloned from the one the server is in?  A builder's command
 * does not tell what HAF's is. */
static bool
may_clone(const View *view)
{
	return view->stack.place != PLACE_UNKNOWN && view->stack.place != PLACE_INDEX;
}

static bool
is_current(const View *view, const Step *step)
{
	return !may_clone(view) || step->spec_version == wanted_version(view, &view->apps[step->app]);
}

/* Is what the row says of its end that of its last process?  The program starts a
 * builder anew in the same container, and that may be over before anybody looks. */
static bool
end_is_known(const Step *step)
{
	return step->seen == SEEN_EXITED && step->seen_started == step->started_at;
}

static bool
unstarted_told(const Step *handoff)
{
	return handoff->state == STEP_EXITED && handoff->has_exit &&
		handoff->exit_code == HANDOFF_UNSTARTED && handoff->failures > 0;
}

/* The program says that it could not start a link, which is not on record yet: of
 * those that it was given it is the next. */
static bool
never_came_up(const View *view, const Step *step)
{
	const Step *handoff = &view->steps[view->apps[HAF_APP].role_first[ROLE_HANDOFF]];
	int			at;

	if (view->stack.place != PLACE_RECOVERY || step->failed ||
		(step->seen != SEEN_CREATED && step->seen != SEEN_EXITED) || !unstarted_told(handoff))
		return false;
	for (at = next_link(view, -1); at >= 0; at = next_link(view, at))
		if (view->steps[at].created_seq != 0 && view->steps[at].created_seq < handoff->created_seq)
			break;
	return at == (int) (step - view->steps);
}

/* A link can be handed to the program as it is. */
static bool
link_ready(const View *view, const Step *step)
{
	switch (step->state)
	{
		case STEP_CREATED:
			return is_current(view, step) && step->seen == SEEN_CREATED &&
				!never_came_up(view, step);
		case STEP_RUNNING:
			return step->seen == SEEN_RUNNING;	/* it may have ended long ago */
		case STEP_EXITED:
			return is_current(view, step) && step->log_stored && end_is_known(step) &&
				!never_came_up(view, step);
		default:
			return false;
	}
}

static void
add_link(const View *view, Summary *sum, int at)
{
	const Step *step = &view->steps[at];

	if (step->failed)
		sum->chain_wanted = false;	/* it waits for the operator */
	if (link_ready(view, step))
		return;
	if (sum->chain_ready && step->state != STEP_EXITED && step->state != STEP_CREATED)
		sum->link_to_make = at;
	sum->chain_ready = false;
}

/* Is the data directory to go on to another container than this one? */
static bool
chain_due(const View *view, const Summary *sum)
{
	if (!sum->starting || view->stack.phase < STACK_INDEX_BUILD)
		return false;
	if (decide_hived_here(view))
		return view->stack.restart_haf && view->stack.phase == STACK_INDEX_BUILD &&
			view->steps[next_link(view, -1)].role == ROLE_INDEX;
	return view->stack.place != PLACE_UNKNOWN;
}

static void
find_chain(const View *view, Summary *sum)
{
	const App  *haf = &view->apps[HAF_APP];
	const Step *handoff;

	sum->link_to_make = -1;
	if (!view->stack.bundled)
		return;
	handoff = &view->steps[haf->role_first[ROLE_HANDOFF]];
	/* an operator may have started it again */
	sum->handing_over = step_active(handoff) ||
		((handoff->state == STEP_EXITED || handoff->state == STEP_REMOVING) && handoff->seen == SEEN_UNKNOWN);
	sum->chain_wanted = chain_due(view, sum);
	sum->chain_ready = true;
	sum->chain_version = chain_version(view);
	for (int at = next_link(view, -1); at >= 0; at = next_link(view, at))
		add_link(view, sum, at);
	add_link(view, sum, haf->role_first[ROLE_RECOVERY]);
	if (!sum->chain_wanted || sum->handing_over || !may_clone(view))
		sum->link_to_make = -1;
}

static void
summarize(const View *view, Summary *sum)
{
	memset(sum, 0, sizeof(*sum));
	sum->calling = view->stack.engine_up && !view->stack.copied;
	sum->acting = sum->calling && !view->stack.paused;
	sum->starting = sum->acting && view->stack.running &&
		view->stack.phase > STACK_PREFLIGHT;
	sum->haf_live = decide_haf_live(view);
	count_active(view, sum);
	count_barriers(view, sum);
	find_index_owner(view, sum);
	find_setup_owner(view, sum);
	find_next_setup(view, sum);
	find_chain(view, sum);
	if (sum->clearing)
		count_successors(view, sum);
}

static void
find_unchecked(const View *view, Owners *owners)
{
	for (int i = 0; i < view->n_apps; i++)
	{
		const App  *app = &view->apps[i];

		if ((i != HAF_APP && app->aside) || app_checked(view, app))
			continue;
		if (owners->unchecked < 0 || (app_check_failed(app) &&
									  !app_check_failed(&view->apps[owners->unchecked])))
			owners->unchecked = i;
	}
}

static void
find_behind(const View *view, Owners *owners)
{
	for (int i = HAF_APP + 1; i < view->n_apps; i++)
	{
		const App  *app = &view->apps[i];

		if (app->aside || app->phase >= APP_SETUP_DONE)
			continue;
		if (owners->culprit < 0 || (app->failed && !view->apps[owners->culprit].failed))
			owners->culprit = i;
		if (owners->n_behind < NAMED_MAX)
			owners->behind[owners->n_behind] = i;
		owners->n_behind++;
	}
}

/* Jobs end by themselves, the others are asked in turn. */
static void
find_ending(const View *view, Owners *owners)
{
	static const Role order[] =
	{ROLE_HANDOFF, ROLE_INDEX, ROLE_SETUP, ROLE_LIVE_SYNC, ROLE_API, ROLE_SYNC, ROLE_INSTANCE};

	for (size_t r = 0; r < sizeof(order) / sizeof(order[0]) && owners->ending < 0; r++)
		for (int i = 0; i < view->n_steps && owners->ending < 0; i++)
			if (view->steps[i].role == order[r] && step_active(&view->steps[i]) &&
				!step_is_chained(view, &view->steps[i]))
				owners->ending = i;
}

/* bundled: the first container of the chain that waits for the operator. */
static int
find_failed_link(const View *view)
{
	int			recovery = view->apps[HAF_APP].role_first[ROLE_RECOVERY];

	if (!view->stack.bundled)
		return -1;
	for (int at = next_link(view, -1); at >= 0; at = next_link(view, at))
		if (view->steps[at].failed)
			return at;
	return view->steps[recovery].failed ? recovery : -1;
}

Owners
decide_owners(const View *view)
{
	Summary		sum;
	Owners		owners = {.unchecked = -1, .ending = -1, .culprit = -1};

	summarize(view, &sum);
	owners.index = sum.index_owner;
	owners.setup = sum.setup_owner;
	owners.running_setup = sum.active[ROLE_SETUP] > 0 ? sum.active_step[ROLE_SETUP] : -1;
	owners.failed_link = find_failed_link(view);
	find_unchecked(view, &owners);
	find_behind(view, &owners);
	if (!view->stack.running)
		find_ending(view, &owners);
	return owners;
}

/* ---- Phases of the stack ---------------------------------------------- */

typedef bool (*StackTest) (const View *, const Summary *);

static bool
stack_wanted(const View *view, const Summary *sum)
{
	return view->stack.running && !view->stack.paused;
}

static bool
stack_checked(const View *view, const Summary *sum)
{
	return view->stack.running && sum->acting && sum->all_checked;
}

static bool
stack_indexed(const View *view, const Summary *sum)
{
	if (view->stack.bundled && !decide_hived_here(view))
		return false;			/* HAF has to take over first */
	return view->stack.running && sum->all_indexed && sum->active[ROLE_INDEX] == 0;
}

static bool
stack_haf_live(const View *view, const Summary *sum)
{
	return view->stack.running && sum->haf_live;
}

static bool
stack_set_up(const View *view, const Summary *sum)
{
	return view->stack.running && sum->all_set_up;
}

static bool
stack_all_live(const View *view, const Summary *sum)
{
	return view->stack.running && sum->all_live;
}

static bool
stack_is_down(const View *view, const Summary *sum)
{
	if (view->stack.running)
		return false;
	for (int role = 0; role < ROLES; role++)
		if (sum->active[role] > 0)
			return false;
	return true;
}

static const struct StackRule
{
	StackPhase	from;
	StackTest	when;
	StackPhase	to;
}			stack_rules[] =

{
	{STACK_IDLE, stack_wanted, STACK_PREFLIGHT},
	{STACK_PREFLIGHT, stack_is_down, STACK_IDLE},
	{STACK_PREFLIGHT, stack_checked, STACK_INDEX_BUILD},
	{STACK_INDEX_BUILD, stack_is_down, STACK_IDLE},
	{STACK_INDEX_BUILD, stack_indexed, STACK_HAF_SYNC},
	{STACK_HAF_SYNC, stack_is_down, STACK_IDLE},
	{STACK_HAF_SYNC, stack_haf_live, STACK_APP_SETUP},
	{STACK_APP_SETUP, stack_is_down, STACK_IDLE},
	{STACK_APP_SETUP, stack_set_up, STACK_APP_SYNC},
	{STACK_APP_SYNC, stack_is_down, STACK_IDLE},
	{STACK_APP_SYNC, stack_all_live, STACK_LIVE},
	{STACK_LIVE, stack_is_down, STACK_IDLE},
};

/* ---- Phases of an app --------------------------------------------------- */

typedef bool (*AppTest) (const View *, const Summary *, int app);

static bool
may_begin(const View *view, int app)
{
	return view->stack.running && !view->stack.paused && !view->apps[app].aside;
}

static bool
needs_no_index(const View *view, const Summary *sum, int app)
{
	return may_begin(view, app) && view->stack.phase >= STACK_INDEX_BUILD &&
		app_checked(view, &view->apps[app]) &&
		role_done(view, &view->apps[app], ROLE_INDEX);
}

static bool
index_turn(const View *view, const Summary *sum, int app)
{
	return may_begin(view, app) && sum->index_owner == app &&
		app_checked(view, &view->apps[app]);
}

static bool
index_done(const View *view, const Summary *sum, int app)
{
	return role_done(view, &view->apps[app], ROLE_INDEX);
}

static bool
needs_no_setup(const View *view, const Summary *sum, int app)
{
	return may_begin(view, app) && view->stack.phase >= STACK_APP_SETUP &&
		role_done(view, &view->apps[app], ROLE_SETUP) &&
		app_depends_set_up(view, &view->apps[app]);
}

static bool
setup_turn(const View *view, const Summary *sum, int app)
{
	return may_begin(view, app) && sum->haf_live && sum->setup_owner == app;
}

static bool
setup_done(const View *view, const Summary *sum, int app)
{
	return role_done(view, &view->apps[app], ROLE_SETUP);
}

static bool
past_barrier(const View *view, const Summary *sum, int app)
{
	return may_begin(view, app) && view->stack.phase >= STACK_APP_SYNC;
}

static bool
seen_live(const View *view, const Summary *sum, int app)
{
	const App  *it = &view->apps[app];

	if (!may_begin(view, app))
		return false;
	if (it->count[ROLE_LIVE_SYNC] > 0)
		return role_done(view, it, ROLE_LIVE_SYNC);
	return sum->haf_live && (!it->has_contexts || it->caught_up);
}

static bool
api_up(const View *view, const Summary *sum, int app)
{
	return may_begin(view, app) && view->apps[app].count[ROLE_API] > 0 &&
		role_was_up(view, &view->apps[app], ROLE_API);
}

static const struct AppRule
{
	AppPhase	from;
	AppTest		when;
	AppPhase	to;
}			app_rules[] =

{
	{APP_REGISTERED, needs_no_index, APP_INDEX_BUILT},
	{APP_REGISTERED, index_turn, APP_INDEX_BUILD},
	{APP_INDEX_BUILD, index_done, APP_INDEX_BUILT},
	{APP_INDEX_BUILT, needs_no_setup, APP_SETUP_DONE},
	{APP_INDEX_BUILT, setup_turn, APP_SETUP},
	{APP_SETUP, setup_done, APP_SETUP_DONE},
	{APP_SETUP_DONE, past_barrier, APP_SYNC},
	{APP_SYNC, seen_live, APP_LIVE},
	{APP_LIVE, api_up, APP_SERVING},
};

/* ---- Steps: when may one begin ------------------------------------------ */

static bool
is_first(const Step *step)
{
	return step->ordinal == 1;
}

/* The one before it in its role is through: done if a job, up if a service. */
static bool
predecessor_through(const View *view, const Step *step)
{
	const Step *before = step - 1;

	if (is_first(step))
		return true;
	return role_is_job(step->role) ? before->done : before->done || step_is_up(view, before);
}

static bool
predecessor_begun(const Step *step)
{
	const Step *before = step - 1;

	return !is_first(step) && before->state == STEP_RUNNING;
}

static bool
sole_active(const View *view, const Summary *sum, const Step *step)
{
	return sum->active[step->role] == 0 ||
		(sum->active[step->role] == 1 &&
		 &view->steps[sum->active_step[step->role]] == step);
}

/* Is this step's moment to run? */
static bool
turn(const View *view, const Summary *sum, const Step *step)
{
	const App  *app = &view->apps[step->app];
	StackPhase	phase = view->stack.phase;

	if (app->counts_done[step->role] || step_is_chained(view, step) ||
		!predecessor_through(view, step))
		return false;
	switch (step->role)
	{
		case ROLE_HANDOFF:
			return sum->chain_wanted && sum->chain_ready;
		case ROLE_RECOVERY:
			return false;
		case ROLE_INDEX:
			return phase == STACK_INDEX_BUILD && app->phase == APP_INDEX_BUILD &&
				sum->index_owner == step->app && sole_active(view, sum, step);
		case ROLE_INSTANCE:
			return phase >= STACK_HAF_SYNC;
		case ROLE_SETUP:
			return phase >= STACK_APP_SETUP && app->phase == APP_SETUP &&
				sum->haf_live && sum->setup_owner == step->app &&
				app_depends_set_up(view, app) && sole_active(view, sum, step);
		case ROLE_SYNC:
			return phase >= STACK_HAF_SYNC && app->phase >= APP_SYNC;
		case ROLE_LIVE_SYNC:
			if (step->app == HAF_APP)
				return phase >= STACK_HAF_SYNC && role_up(view, app, ROLE_INSTANCE);
			return phase >= STACK_HAF_SYNC && app->phase == APP_SYNC &&
				role_up(view, app, ROLE_SYNC);
		case ROLE_API:
			return phase >= STACK_HAF_SYNC && app->phase >= APP_LIVE;
	}
	return false;
}

/* HAF is live, and the app's setup runs, or waits for those of others: the time
 * to make what comes after it, one after the other. */
static bool
setting_up(const View *view, const App *app)
{
	return view->stack.phase >= STACK_APP_SETUP &&
		(app->phase == APP_SETUP || app->phase == APP_SETUP_DONE);
}

/* The first container of the role is there, or was. */
static bool
role_made(const View *view, const App *app, Role role)
{
	return app->count[role] > 0 && view->steps[app->role_first[role]].state >= STEP_CREATED;
}

/*
 * May its container be made before its moment, while what comes before it still
 * runs?  Creating costs as much as starting, and nobody waits for it this way.
 */
static bool
ahead_of_turn(const View *view, const Summary *sum, const Step *step)
{
	const App  *app = &view->apps[step->app];
	int			at = (int) (step - view->steps);

	if (app->counts_done[step->role])
		return false;
	if (step_is_chained(view, step))
		return at == sum->link_to_make;
	switch (step->role)
	{
		case ROLE_RECOVERY:
		case ROLE_HANDOFF:
			return false;
		case ROLE_INDEX:
			return at == sum->next_index;
		case ROLE_INSTANCE:
			return view->stack.phase == STACK_INDEX_BUILD && is_first(step) &&
				sum->index_begun && sum->active[ROLE_INDEX] > 0;
		case ROLE_SETUP:
			return at == sum->next_setup;
		case ROLE_SYNC:
			return predecessor_begun(step) || (is_first(step) && setting_up(view, app));
		case ROLE_LIVE_SYNC:
			return predecessor_begun(step) ||
				(is_first(step) && step->app != HAF_APP &&
				 (app->phase == APP_SYNC ||
				  (setting_up(view, app) && role_made(view, app, ROLE_SYNC))));
		case ROLE_API:
			return predecessor_begun(step) ||
				(is_first(step) && (app->phase == APP_SYNC || setting_up(view, app)) &&
				 role_made(view, app, ROLE_LIVE_SYNC));
	}
	return false;
}

/* ---- Steps: predicates of the table ---------------------------------- */

typedef bool (*StepTest) (const View *, const Summary *, const Step *);

static bool
always(const View *view, const Summary *sum, const Step *step)
{
	return true;
}

static bool
callable(const View *view, const Summary *sum, const Step *step)
{
	return sum->calling && view->now >= step->quiet_until;
}

static bool
changeable(const View *view, const Summary *sum, const Step *step)
{
	return sum->acting && callable(view, sum, step);
}

static bool
was_refused(const View *view, const Summary *sum, const Step *step)
{
	return step->refused;
}

/* A failed job waits for the operator, whatever container turns up late. */
static bool
has_work(const Step *step)
{
	return !step->done && !(step->failed && role_is_job(step->role));
}

static bool
may_create(const View *view, const Summary *sum, const Step *step)
{
	const App  *app = &view->apps[step->app];

	return sum->starting && changeable(view, sum, step) && !app->aside &&
		!step_unwanted(view, step) && has_work(step) &&
		view->now >= step->retry_at && app_checked(view, app) &&
		(turn(view, sum, step) || ahead_of_turn(view, sum, step));
}

static bool
may_start(const View *view, const Summary *sum, const Step *step)
{
	return sum->starting && changeable(view, sum, step) &&
		!view->apps[step->app].aside && has_work(step) && turn(view, sum, step);
}

static bool
not_creatable(const View *view, const Summary *sum, const Step *step)
{
	return !may_create(view, sum, step) && view->now >= step->quiet_until;
}

static bool
newly_up(const View *view, const Summary *sum, const Step *step)
{
	return !role_is_job(step->role) && step_is_up(view, step) && (!step->was_up || step->failed);
}

static bool
newly_steady(const View *view, const Summary *sum, const Step *step)
{
	return !role_is_job(step->role) && step_is_up(view, step) && step->failures > 0 &&
		view->now >= step->started_at + STEADY_TIME;
}

static bool
not_done(const View *view, const Summary *sum, const Step *step)
{
	return !step->done;
}

static bool
log_missing(const View *view, const Summary *sum, const Step *step)
{
	return !step->log_stored && callable(view, sum, step);
}

/* What the end of a link means depends on where the server is now. */
static bool
exit_meaningful(const View *view, const Summary *sum, const Step *step)
{
	return !step_is_chained(view, step) || view->stack.place != PLACE_UNKNOWN;
}

static bool
link_not_looked_at(const View *view, const Summary *sum, const Step *step)
{
	bool		chained = step_is_chained(view, step);

	return (chained || step->role == ROLE_HANDOFF) && !step->done && callable(view, sum, step) &&
		(step->seen == SEEN_UNKNOWN || (chained && step->seen_started == 0));
}

static bool
link_ran_again(const View *view, const Summary *sum, const Step *step)
{
	return step_is_chained(view, step) && !step->done && step->seen_started != 0 &&
		!end_is_known(step);
}

static bool
link_given_up(const View *view, const Summary *sum, const Step *step)
{
	return step_is_chained(view, step) && never_came_up(view, step);
}

/* The link that could not be started has failed: that is all the program had to say. */
static bool
unstarted_noted(const View *view, const Summary *sum, const Step *step)
{
	return step->role == ROLE_HANDOFF && unstarted_told(step) && find_failed_link(view) >= 0;
}

static bool
exit_not_stored(const View *view, const Summary *sum, const Step *step)
{
	return !step->has_exit;
}

static bool
never_ran(const View *view, const Summary *sum, const Step *step)
{
	return !discarding(step) || step->ever_started == ANSWER_NO;
}

static bool
ran_unseen(const View *view, const Summary *sum, const Step *step)
{
	return discarding(step) && step->ever_started == ANSWER_YES;
}

static bool
outdated(const View *view, const Summary *sum, const Step *step)
{
	/* what the program was given stays as long as it runs */
	if (step_is_chained(view, step) && (sum->handing_over || !may_clone(view)))
		return false;
	if (step->role == ROLE_HANDOFF)
		return changeable(view, sum, step) && view->stack.place != PLACE_UNKNOWN &&
			(step_unwanted(view, step) || step->spec_version != sum->chain_version);
	return changeable(view, sum, step) &&
		(step_unwanted(view, step) || step->done ||
		 step->spec_version != wanted_version(view, &view->apps[step->app]));
}

/* stop(): jobs first, and those that only wait with the servers; then syncs;
 * then HAF. */
static bool
stop_turn(const View *view, const Summary *sum, const Step *step)
{
	switch (step->role)
	{
		case ROLE_HANDOFF:
			return true;
		case ROLE_INDEX:
		case ROLE_SETUP:
		case ROLE_RECOVERY:
			return false;		/* they finish; or must_kill() */
		case ROLE_LIVE_SYNC:
		case ROLE_API:
			return sum->active[ROLE_INDEX] + sum->active[ROLE_SETUP] == 0;
		case ROLE_SYNC:
			return sum->active[ROLE_INDEX] + sum->active[ROLE_SETUP] +
				sum->active[ROLE_LIVE_SYNC] + sum->active[ROLE_API] == 0;
		case ROLE_INSTANCE:
			return sum->active[ROLE_INDEX] + sum->active[ROLE_SETUP] +
				sum->active[ROLE_LIVE_SYNC] + sum->active[ROLE_API] +
				sum->active[ROLE_SYNC] == 0;
	}
	return false;
}

static bool
must_stop(const View *view, const Summary *sum, const Step *step)
{
	if (!callable(view, sum, step) || step_is_chained(view, step))
		return false;
	if (step->role == ROLE_HANDOFF)
		return view->stack.paused || !view->stack.running;	/* at its end it ends by itself */
	if (sum->acting && step_unwanted(view, step))
		return true;
	return !view->stack.running && view->stack.phase != STACK_IDLE &&
		stop_turn(view, sum, step);
}

static bool
must_kill(const View *view, const Summary *sum, const Step *step)
{
	return callable(view, sum, step) && !step_is_chained(view, step) && !view->stack.running &&
		view->stack.phase != STACK_IDLE && view->stack.force_stop &&
		(step->role == ROLE_INDEX || step->role == ROLE_SETUP);
}

/* ---- Removal: after the successor has been created --------------------- */

static AppPhase
phase_after(Role role)
{
	return role == ROLE_INDEX ? APP_INDEX_BUILT :
		role == ROLE_SETUP ? APP_SETUP_DONE : APP_LIVE;
}

/* Those that come into question as successors of step, when the search is at
 * this role. */
static Successors
successors_of(const View *view, const Summary *sum, const Step *step, Role role)
{
	Successors	found = {0, false};

	if (role == ROLE_INSTANCE || (role == ROLE_LIVE_SYNC && step->role == ROLE_INDEX))
	{
		add_successors(view, &view->apps[HAF_APP], role, &found);
		return found;
	}
	/* an app that came late goes its own way */
	if (step->app != HAF_APP &&
		(step->role == ROLE_LIVE_SYNC ||
		 (step->role == ROLE_SETUP && role != ROLE_SETUP && view->apps[step->app].count[role] > 0)))
	{
		add_successors(view, &view->apps[step->app], role, &found);
		return found;
	}
	found = sum->successors[role];
	if (step->app == HAF_APP)
		add_successors(view, &view->apps[HAF_APP], role, &found);
	return found;
}

static bool
successor_created(const View *view, const Summary *sum, const Step *step)
{
	static const Role chain[] = {ROLE_INDEX, ROLE_INSTANCE, ROLE_LIVE_SYNC, ROLE_SETUP, ROLE_SYNC};
	static const Role tail[] = {ROLE_LIVE_SYNC, ROLE_SETUP, ROLE_SYNC, ROLE_API};
	bool		early = step->role == ROLE_INDEX;
	const Role *roles = early ? chain : tail;
	int			n = early ? 5 : 4;
	bool		reached = false;

	for (int r = 0; r < n; r++)
	{
		Successors	found;

		reached |= roles[r] == step->role;
		if (!reached)
			continue;
		/* step itself is no later than itself, and not to be made */
		found = successors_of(view, sum, step, roles[r]);
		if (found.latest > step->created_seq)
			return true;
		if (found.expected)
			return false;
	}
	if (step->app == HAF_APP)
		return view->stack.phase > STACK_HAF_SYNC;
	return view->apps[step->app].phase >= phase_after(step->role);
}

/* The program that runs has no need of it any more. */
static bool
spared_by_program(const View *view, const Summary *sum, const Step *step)
{
	return changeable(view, sum, step) &&
		(!step_is_chained(view, step) || !sum->handing_over ||
		 (step->done && view->stack.place > PLACE_HIVED));
}

static bool
may_remove(const View *view, const Summary *sum, const Step *step)
{
	const App  *app = &view->apps[step->app];

	if (!spared_by_program(view, sum, step) || !step->log_stored)
		return false;
	if (step_unwanted(view, step))
		return true;
	/* what others wait for goes first */
	if (step->done)
		return role_is_job(step->role) && view->stack.running && !sum->beginning &&
			successor_created(view, sum, step);
	if (step_is_chained(view, step))
		return sum->chain_wanted && may_clone(view) && !app->aside && has_work(step) &&
			!link_ready(view, step);
	return sum->starting && !app->aside && has_work(step) && app_checked(view, app) &&
		view->now >= step->retry_at && turn(view, sum, step);
}

/* ---- The table of steps ------------------------------------------------- */

#define ST(state)		(1u << (state))
#define ANY_SEEN		(~0u)
#define THERE			(ST(SEEN_CREATED) | ST(SEEN_RUNNING) | ST(SEEN_EXITED))
#define GONE			(ST(SEEN_ABSENT) | ST(SEEN_STRANGER))
#define WITH_CONTAINER	(ST(STEP_CREATING) | ST(STEP_CREATED) | ST(STEP_STARTING) | ST(STEP_RUNNING) | ST(STEP_REMOVING))
/* what is over can have been started by somebody else */
#define MAY_RUN			(ST(STEP_RUNNING) | ST(STEP_EXITED) | ST(STEP_REMOVING))

static const struct StepRule
{
	unsigned	states;
	unsigned	seen;
	StepTest	when;
	ActionKind	action;
}			step_rules[] =

{
	/* what Docker says goes into the row */
	{ST(STEP_CREATING), THERE, always, ACT_NOTE_CREATED},
	{ST(STEP_CREATING), ST(SEEN_STRANGER), always, ACT_NOTE_STRANGER},
	{ST(STEP_CREATING), ST(SEEN_ABSENT), was_refused, ACT_NOTE_STRANGER},
	{ST(STEP_CREATING), ST(SEEN_ABSENT), may_create, ACT_CREATE},
	{ST(STEP_CREATING), ST(SEEN_ABSENT), not_creatable, ACT_NOTE_VANISHED},
	{ST(STEP_CREATED), ST(SEEN_RUNNING) | ST(SEEN_EXITED), always, ACT_NOTE_RUNNING},
	{ST(STEP_CREATED), GONE, always, ACT_NOTE_VANISHED},
	{ST(STEP_CREATED), ST(SEEN_CREATED), link_given_up, ACT_NOTE_REFUSED},
	{ST(STEP_STARTING), ST(SEEN_RUNNING) | ST(SEEN_EXITED), always, ACT_NOTE_RUNNING},
	{ST(STEP_STARTING), ST(SEEN_CREATED), was_refused, ACT_NOTE_REFUSED},
	{ST(STEP_STARTING), ST(SEEN_CREATED), changeable, ACT_REMOVE},
	{ST(STEP_STARTING), GONE, was_refused, ACT_NOTE_VANISHED},
	{ST(STEP_STARTING), GONE, always, ACT_NOTE_LOST},
	{ST(STEP_RUNNING), ST(SEEN_EXITED), exit_meaningful, ACT_NOTE_EXIT},
	{ST(STEP_RUNNING), GONE | ST(SEEN_CREATED), always, ACT_NOTE_LOST},
	{ST(STEP_RUNNING), ST(SEEN_RUNNING), newly_up, ACT_NOTE_UP},
	{ST(STEP_RUNNING), ST(SEEN_RUNNING), newly_steady, ACT_NOTE_STEADY},
	{ST(STEP_EXITED), ST(SEEN_RUNNING), not_done, ACT_NOTE_RUNNING},
	{ST(STEP_EXITED), ST(SEEN_EXITED), link_ran_again, ACT_NOTE_RUNNING},
	{ST(STEP_REMOVING), ST(SEEN_RUNNING), not_done, ACT_NOTE_RUNNING},
	{ST(STEP_REMOVING), ST(SEEN_EXITED), exit_not_stored, ACT_NOTE_RUNNING},
	{ST(STEP_REMOVING), GONE, never_ran, ACT_NOTE_REMOVED},
	{ST(STEP_REMOVING), GONE, ran_unseen, ACT_NOTE_LOST},

	/* what is not known is asked */
	{ST(STEP_REMOVING), GONE, callable, ACT_HISTORY},
	{WITH_CONTAINER, ST(SEEN_UNKNOWN), callable, ACT_LOOK},
	{ST(STEP_EXITED), ST(SEEN_UNKNOWN), log_missing, ACT_LOOK},	/* a TTY's log is another form */
	{ST(STEP_EXITED), ST(SEEN_UNKNOWN) | ST(SEEN_EXITED), link_not_looked_at, ACT_LOOK},
	{ST(STEP_EXITED), ANY_SEEN, log_missing, ACT_LOG},
	{ST(STEP_EXITED), ST(SEEN_EXITED), link_given_up, ACT_NOTE_REFUSED},
	{ST(STEP_EXITED), ANY_SEEN, unstarted_noted, ACT_NOTE_STEADY},

	/* what is due is done */
	{MAY_RUN, ST(SEEN_RUNNING), must_kill, ACT_KILL},
	{MAY_RUN, ST(SEEN_RUNNING), must_stop, ACT_STOP},
	{ST(STEP_REMOVING), ST(SEEN_CREATED) | ST(SEEN_EXITED), spared_by_program, ACT_REMOVE},
	{ST(STEP_CREATED), ST(SEEN_CREATED), outdated, ACT_REMOVE},
	{ST(STEP_CREATED), ST(SEEN_CREATED), may_start, ACT_START},
	{ST(STEP_EXITED), ANY_SEEN & ~ST(SEEN_RUNNING), may_remove, ACT_REMOVE},
	{ST(STEP_WAITING) | ST(STEP_REMOVED), ANY_SEEN, may_create, ACT_CREATE},
};

#define LENGTH(array)	((int) (sizeof(array) / sizeof((array)[0])))

/* ---- decide ------------------------------------------------------------- */

static bool
derived_failed(const View *view, const App *app)
{
	if (app->removing || app_renewing(app))
		return false;
	if (step_failed_in(view, app))
		return true;
	/* a preflight that failed earlier is not taken back before it passes */
	return (app_check_failed(app) || app->failed) && !app_checked(view, app);
}

static bool
stack_failed(const View *view)
{
	for (int i = 0; i < view->n_apps; i++)
		if (view->apps[i].failed && !view->apps[i].aside)
			return true;
	return false;
}

static bool
preflight_due(const View *view, const Summary *sum, const App *app)
{
	return sum->acting && view->stack.running && view->stack.phase != STACK_IDLE &&
		!app->aside && !app_checked(view, app) && !app_checking(app) &&
		view->now >= app->check_at;
}

/* The old run, or the whole app, has no container left. */
static bool
cleared(const View *view, const App *app)
{
	for (int i = 0; i < app->n_steps; i++)
	{
		const Step *step = &view->steps[app->first_step + i];

		if (step->busy ||
			(step->state != STEP_WAITING && step->state != STEP_REMOVED))
			return false;
	}
	return true;
}

static size_t
decide_app(const View *view, const Summary *sum, int at, Action *out)
{
	const App  *app = &view->apps[at];

	if (derived_failed(view, app) != app->failed)
		*out++ = (Action) {ACT_APP_FAILED, at, -1, !app->failed};
	else if ((app->removing || app_renewing(app)) && at != HAF_APP)
	{
		if (!cleared(view, app) || view->stack.paused)
			return 0;
		*out++ = (Action) {app->removing ? ACT_FORGET : ACT_RENEW, at, -1, 0};
	}
	else if (preflight_due(view, sum, app))
		*out++ = (Action) {ACT_PREFLIGHT, at, -1, 0};
	else
	{
		if (at == HAF_APP)
			return 0;
		for (int r = 0; r < LENGTH(app_rules); r++)
			if (app_rules[r].from == app->phase && app_rules[r].when(view, sum, at))
			{
				*out++ = (Action) {ACT_APP_PHASE, at, -1, app_rules[r].to};
				return 1;
			}
		return 0;
	}
	return 1;
}

static size_t
decide_step(const View *view, const Summary *sum, int at, Action *out)
{
	const Step *step = &view->steps[at];

	if (step->busy)
		return 0;
	for (int r = 0; r < LENGTH(step_rules); r++)
		if ((step_rules[r].states & ST(step->state)) &&
			(step_rules[r].seen & ST(step->seen)) &&
			step_rules[r].when(view, sum, step))
		{
			*out = (Action) {step_rules[r].action, step->app, at, 0};
			return 1;
		}
	return 0;
}

size_t
decide(const View *view, Action *actions)
{
	Summary		sum;
	size_t		n = 0;

	if (view->stack.copied)
		return 0;
	summarize(view, &sum);

	for (int r = 0; r < LENGTH(stack_rules); r++)
		if (stack_rules[r].from == view->stack.phase && stack_rules[r].when(view, &sum))
		{
			actions[n++] = (Action) {ACT_STACK_PHASE, -1, -1, stack_rules[r].to};
			break;
		}
	if (stack_failed(view) != view->stack.failed)
		actions[n++] = (Action) {ACT_APP_FAILED, -1, -1, !view->stack.failed};
	for (int i = 0; i < view->n_apps; i++)
		n += decide_app(view, &sum, i, actions + n);
	for (int i = 0; i < view->n_steps; i++)
		n += decide_step(view, &sum, i, actions + n);
	return n;
}

int64_t
decide_next_time(const View *view)
{
	int64_t		next = INT64_MAX;

#define SOONER(t) do { if ((t) > view->now && (t) < next) next = (t); } while (0)
	for (int i = 0; i < view->n_apps; i++)
		SOONER(view->apps[i].check_at);
	for (int i = 0; i < view->n_steps; i++)
	{
		const Step *step = &view->steps[i];

		SOONER(step->quiet_until);
		SOONER(step->retry_at);
		if (step->state != STEP_RUNNING)
			continue;
		SOONER(step->running_since + settle_time(view, step));
		if (step->failures > 0)
			SOONER(step->started_at + STEADY_TIME);
	}
#undef SOONER
	return next;
}

/* ---- How a step moves: intents and facts -------------------------------- */

static int64_t
backoff(const Policy *policy, int failures)
{
	int64_t		delay = policy->retry_delay;

	for (int i = 1; i < failures && delay < policy->max_retry_delay; i++)
		delay *= 2;
	return delay < policy->max_retry_delay ? delay : policy->max_retry_delay;
}

/* One attempt came to nothing. */
static void
count_failure(const View *view, Step *step)
{
	step->failures++;
	step->failed = step->failures >= view->policy.max_attempts;
	step->retry_at = view->now + backoff(&view->policy, step->failures);
}

static void
give_up_link(const View *view, Step *step)
{
	step->failed = true;
	step->failures = view->policy.max_attempts;
}

/*
 * A link of the chain has ended.  The hand-off program goes by exit codes alone,
 * for a builder ignores signals, and so do we.  It has tried as often as it may
 * before anybody sees another code than 0; and that HAF ends while indexes are
 * built is its doing.
 */
static void
note_link_exit(const View *view, Step *step)
{
	if (step->role == ROLE_INDEX && step->exit_code == 0)
	{
		step->done = true;
		step->failed = false;
		step->failures = 0;
	}
	else if (step->role == ROLE_INDEX ||
			 (step->role == ROLE_INSTANCE && view->stack.place == PLACE_RECOVERY))
		give_up_link(view, step);
}

static void
note_exit(const View *view, Step *step)
{
	bool		job = role_is_job(step->role);

	/* a job that we asked to stop may have been through before it heard of it */
	bool		killed = step->kill_seen || (step->stopping && !job);

	/* a server that is signalled exits 0 too, so only a sync that nobody can have
	 * signalled has completed; to start it once too often does no harm */
	bool		completes = job || (step->role == ROLE_SYNC && step->watched);

	step->state = STEP_EXITED;
	step->has_exit = true;
	step->exit_code = step->seen_exit;
	step->finished_at = view->now;
	step->retry_at = view->now;
	step->log_stored = false;
	if (step_is_chained(view, step))
	{
		step->started_at = step->seen_started;
		note_link_exit(view, step);
		return;
	}
	if (step->role == ROLE_HANDOFF && (step->exit_code == 0 || step->exit_code == HANDOFF_UNSTARTED))
	{
		step->failures = step->exit_code != 0;	/* its chain is over */
		return;
	}
	if (completes && step->exit_code == 0 && !killed)
	{
		step->done = true;
		step->failed = false;
		step->failures = 0;
		return;
	}
	if (step->stopping)
		return;					/* as we wanted */
	if (!job && view->now >= step->started_at + STEADY_TIME)
		step->failures = 0;
	count_failure(view, step);
}

static void
note_lost(const View *view, Step *step)
{
	step->state = STEP_WAITING;
	step->finished_at = view->now;
	if (role_is_job(step->role))
		step->failed = true;	/* it may have done its work: never on a guess */
	else if (!step->stopping)
		count_failure(view, step);
}

static void
note_removed(const View *view, Step *step)
{
	step->state = step->done || step_unwanted(view, step) ? STEP_REMOVED : STEP_WAITING;
	step->started_at = 0;
}

static void
intend_create(View *view, Step *step)
{
	int64_t		version = step->role == ROLE_HANDOFF ? chain_version(view) :
		wanted_version(view, &view->apps[step->app]);

	/* the call before may be carried out yet, and which of the two was is not known */
	if (step->state == STEP_CREATING && step->spec_version != version)
		version = 0;
	step->attempt++;
	step->state = STEP_CREATING;
	step->run = view->apps[step->app].run;
	step->spec_version = version;
	step->stopping = step->has_exit = step->log_stored = false;
	step->exit_code = 0;
	step->started_at = step->finished_at = 0;
	step->seen = SEEN_UNKNOWN;
	step->seen_started = 0;
	step->kill_seen = step->watched = step->refused = step->has_health = step->healthy = false;
	step->ever_started = ANSWER_UNKNOWN;
}

static void
note_created(View *view, Step *step)
{
	step->state = STEP_CREATED;
	step->refused = false;
	step->created_seq = view->next_seq++;
}

static void
note_running(const View *view, Step *step)
{
	if (step->state == STEP_EXITED)
		step->seen = SEEN_UNKNOWN;	/* of these the list is read, and it tells no health */
	step->state = STEP_RUNNING;
	step->has_exit = false;
	step->log_stored = false;
	if (step->started_at == 0)
		step->started_at = step->seen_started != 0 ? step->seen_started : view->now;
}

static void
intend_step(View *view, const Action *action)
{
	Step	   *step = &view->steps[action->step];

	if (!action_is_call(action->kind) || action->kind == ACT_CREATE)
		step->trouble = NULL;	/* it has come further */
	switch (action->kind)
	{
		case ACT_CREATE:
			intend_create(view, step);
			break;
		case ACT_START:
			step->state = STEP_STARTING;
			step->started_at = view->now;
			break;
		case ACT_STOP:
		case ACT_KILL:
			step->stopping = true;
			break;
		case ACT_REMOVE:
			step->state = STEP_REMOVING;
			break;
		case ACT_NOTE_CREATED:
			note_created(view, step);
			break;
		case ACT_NOTE_VANISHED:
			step->state = STEP_WAITING;
			step->started_at = 0;
			break;
		case ACT_NOTE_STRANGER:
			step->state = STEP_WAITING;
			count_failure(view, step);
			break;
		case ACT_NOTE_RUNNING:
			note_running(view, step);
			break;
		case ACT_NOTE_REFUSED:
			step->state = STEP_EXITED;
			step->log_stored = true;	/* it has never run */
			if (!step_is_chained(view, step))
				step->started_at = 0;
			count_failure(view, step);
			if (step_is_chained(view, step))
				give_up_link(view, step);	/* the program has tried as often as it may */
			break;
		case ACT_NOTE_EXIT:
			note_exit(view, step);
			break;
		case ACT_NOTE_LOST:
			note_lost(view, step);
			break;
		case ACT_NOTE_UP:
			step->was_up = true;
			step->failed = false;
			break;
		case ACT_NOTE_STEADY:
			step->failures = 0;
			break;
		case ACT_NOTE_REMOVED:
			note_removed(view, step);
			break;
		default:				/* looks change nothing that is stored */
			break;
	}
}

void
decide_intend(View *view, const Action *action)
{
	switch (action->kind)
	{
		case ACT_STACK_PHASE:
			view->stack.phase = action->to;
			break;
		case ACT_APP_PHASE:
			view->apps[action->app].phase = action->to;
			break;
		case ACT_APP_FAILED:
			if (action->app < 0)
				view->stack.failed = action->to;
			else
				view->apps[action->app].failed = action->to;
			break;
		case ACT_PREFLIGHT:
			view->apps[action->app].check = app_check_failed(&view->apps[action->app]) ? CHECK_AGAIN : CHECK_RUNNING;
			break;
		case ACT_RENEW:
			view->apps[action->app].current_run = view->apps[action->app].run;
			view->apps[action->app].phase = APP_REGISTERED;
			break;
		case ACT_FORGET:
			break;
		default:
			intend_step(view, action);
	}
}

static void
settle_create(View *view, Step *step, Outcome outcome)
{
	switch (outcome)
	{
		case OUTCOME_OK:
			note_created(view, step);
			step->seen = SEEN_CREATED;
			break;
		case OUTCOME_UNREACHABLE:
			step->state = STEP_WAITING;
			step->attempt--;
			step->quiet_until = view->now + CALL_PAUSE;
			break;
		case OUTCOME_ABSENT:
		case OUTCOME_REFUSED:
			step->state = STEP_WAITING;
			count_failure(view, step);
			break;
		case OUTCOME_CONFLICT:
			step->spec_version = 0; /* made by an earlier call, or not ours */
			step->refused = true;
			/* FALLTHROUGH */
		case OUTCOME_LOST:
			step->seen = SEEN_UNKNOWN;
			break;
	}
}

static void
settle_start(View *view, Step *step, Outcome outcome)
{
	step->seen = SEEN_UNKNOWN;
	switch (outcome)
	{
		case OUTCOME_OK:
			step->state = STEP_RUNNING;
			step->watched = view->stack.engine_up;
			break;
		case OUTCOME_UNREACHABLE:
			step->state = STEP_CREATED;
			step->started_at = 0;
			step->quiet_until = view->now + CALL_PAUSE;
			break;
		case OUTCOME_ABSENT:
		case OUTCOME_CONFLICT:
		case OUTCOME_REFUSED:
			step->refused = true;
			break;
		case OUTCOME_LOST:
			break;
	}
}

static void
settle_remove(View *view, Step *step, Outcome outcome)
{
	step->seen = SEEN_UNKNOWN;
	step->ever_started = ANSWER_UNKNOWN;
	if (outcome != OUTCOME_OK && outcome != OUTCOME_ABSENT)
		step->quiet_until = view->now + CALL_PAUSE;
	else if (discarding(step))
		step->seen = SEEN_ABSENT;
	else
		note_removed(view, step);
}

void
decide_settle(View *view, const Action *action, Outcome outcome)
{
	Step	   *step = &view->steps[action->step];
	bool		unheard = outcome == OUTCOME_UNREACHABLE || outcome == OUTCOME_LOST;

	switch (action->kind)
	{
		case ACT_CREATE:
			settle_create(view, step, outcome);
			break;
		case ACT_START:
			settle_start(view, step, outcome);
			break;
		case ACT_REMOVE:
			settle_remove(view, step, outcome);
			break;
		case ACT_STOP:
		case ACT_KILL:
			step->seen = SEEN_UNKNOWN;
			/* the hand-off program is only sent a signal, and takes its time */
			if (outcome != OUTCOME_OK || step->role == ROLE_HANDOFF)
				step->quiet_until = view->now + CALL_PAUSE;
			break;
		case ACT_LOG:
			step->log_stored = !unheard;
			if (unheard)
				step->quiet_until = view->now + CALL_PAUSE;
			break;
		case ACT_LOOK:
			/* while its id was not known, events of it were nobody's */
			step->watched |= step->seen == SEEN_RUNNING && view->stack.engine_up &&
				step->state != STEP_CREATING;
			/* an Engine that does not tell when it began: see link_not_looked_at() */
			if (step->state == STEP_EXITED && step->seen_started == 0)
				step->quiet_until = view->now + CALL_PAUSE;
			/* FALLTHROUGH */
		case ACT_HISTORY:
			if (outcome != OUTCOME_OK && outcome != OUTCOME_ABSENT)
				step->quiet_until = view->now + CALL_PAUSE;
			break;
		default:
			break;
	}
}
