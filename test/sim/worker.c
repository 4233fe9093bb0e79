/*
 * worker.c
 *		The worker's loop, and the catalog that outlives it.
 *
 * As extension/worker.c does it: an intent is stored before its call goes out,
 * an answer is stored before anything else is done about it, and a crash leaves
 * nothing but what was stored.
 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

#define QUIET		(250 * MILLISECOND)

void
worker_begin(void)
{
	memset(&sim.worker, 0, sizeof(sim.worker));
}

AppRow *
app_row(int uid)
{
	for (int i = 0; i < sim.catalog.n_apps; i++)
		if (sim.catalog.apps[i].uid == uid)
			return &sim.catalog.apps[i];
	return NULL;
}

/* The row of a step, in the same run. */
Row *
row_of(const Label *label)
{
	AppRow	   *app = app_row(label->uid);

	for (int i = 0; app && i < app->n_rows; i++)
	{
		Step	   *step = &app->rows[i].step;

		if (step->role == label->role && step->ordinal == label->ordinal &&
			step->run == label->run)
			return &app->rows[i];
	}
	return NULL;
}

void
row_label(const AppRow *app, const Row *row, Label *label)
{
	*label = (Label) {app->uid, row->step.role, row->step.ordinal, row->step.run,
		row->step.attempt};
}

static void
step_label(int at, Label *label)
{
	const Step *step = &sim.worker.steps[at];

	*label = (Label) {sim.worker.uids[step->app], step->role, step->ordinal, step->run,
		step->attempt};
}

static int
step_at(const Label *label)
{
	Worker	   *worker = &sim.worker;

	for (int i = 0; i < worker->view.n_steps; i++)
	{
		const Step *step = &worker->steps[i];

		if (worker->uids[step->app] == label->uid && step->role == label->role &&
			step->ordinal == label->ordinal && step->run == label->run)
			return i;
	}
	return -1;
}

/* ---- Loading the view ---------------------------------------------------- */

/* What operators asked for is taken in: by the worker, into its own columns. */
static void
take_requests(AppRow *app)
{
	for (int i = 0; i < app->n_rows; i++)
	{
		Step	   *step = &app->rows[i].step;
		Label		label;
		Fate	   *fate;

		row_label(app, &app->rows[i], &label);
		fate = fate_of(&label);
		if (app->skip && step->failed && !step->done && role_is_job(step->role))
		{
			note("skipped: %s", label_text(&label));
			step->done = fate->skipped = true;
			step->failed = false;
		}
		if (app->retry)
		{
			fate->retried = true;
			fate->failed_exits = 0;
			chain_retried(app->rows[i].id);
			step->failed = false;
			step->failures = 0;
			step->retry_at = 0;
		}
	}
	app->skip = false;
}

/* Rows for what is wanted and has none; rows too many stay. */
static void
make_rows(AppRow *app)
{
	Row			rows[ROWS_MAX];
	int			n = 0;

	for (int role = 0; role < ROLES; role++)
		for (int ordinal = 1; ordinal <= ORDINALS_MAX; ordinal++)
		{
			const Row  *old = NULL;

			for (int i = 0; i < app->n_rows; i++)
				if ((int) app->rows[i].step.role == role && app->rows[i].step.ordinal == ordinal)
					old = &app->rows[i];
			if (old)
				rows[n++] = *old;
			else if (ordinal <= app->app.count[role])
			{
				memset(&rows[n], 0, sizeof(rows[n]));
				rows[n].step.role = (Role) role;
				rows[n].step.ordinal = ordinal;
				rows[n++].step.run = app->app.run;
			}
		}
	memcpy(app->rows, rows, sizeof(Row) * (size_t) n);
	app->n_rows = n;
}

static void
load_steps(int at, const Worker *old)
{
	Worker	   *worker = &sim.worker;
	AppRow	   *from = &sim.catalog.apps[at];
	App		   *app = &worker->apps[at];

	app->first_step = worker->view.n_steps;
	app->n_steps = from->n_rows;
	for (int role = 0; role < ROLES; role++)
		app->role_first[role] = app->role_steps[role] = 0;
	for (int i = 0; i < from->n_rows; i++)
	{
		int			n = worker->view.n_steps++;
		Step	   *step = &worker->steps[n];

		*step = from->rows[i].step;
		worker->ids[n] = from->rows[i].id;
		step->app = at;
		if (app->role_steps[step->role]++ == 0)
			app->role_first[step->role] = n;
		if (step->created_seq >= worker->view.next_seq)
			worker->view.next_seq = step->created_seq + 1;
		for (int o = 0; old && o < old->view.n_steps; o++)
			if (old->uids[old->steps[o].app] == from->uid && old->steps[o].role == step->role &&
				old->steps[o].ordinal == step->ordinal && old->steps[o].run == step->run)
			{
				decide_keep_observed(step, &old->steps[o]);
				if (step->state == STEP_CREATING)
					worker->ids[n] = old->ids[o];	/* as found by name */
			}
	}
}

void
worker_load(bool afresh)
{
	static Worker was;
	Worker	   *worker = &sim.worker;
	Catalog    *catalog = &sim.catalog;

	was = *worker;
	worker->changes = catalog->changes;
	worker->view.apps = worker->apps;
	worker->view.steps = worker->steps;
	worker->view.n_apps = catalog->n_apps;
	worker->view.n_steps = 0;
	if (worker->view.next_seq == 0)
		worker->view.next_seq = 1;
	worker->view.policy = (Policy) {MAX_ATTEMPTS, 10 * SECOND, 300 * SECOND};
	worker->view.stack = catalog->stack;
	worker->view.stack.engine_up = worker->connected;
	worker->view.stack.place = worker->place;
	for (int i = 0; i < catalog->n_apps; i++)
	{
		AppRow	   *from = &catalog->apps[i];
		App		   *app = &worker->apps[i];
		bool		retry = from->retry;

		if (from->retry || from->skip)
			take_requests(from);
		from->retry = false;
		make_rows(from);
		*app = from->app;
		worker->uids[i] = from->uid;
		app->depends_on = worker->depends_on[i];
		for (int d = 0; d < app->n_depends_on; d++)
			for (int other = 0; other < catalog->n_apps; other++)
				if (catalog->apps[other].uid == from->depends_on[d])
					app->depends_on[d] = other;
		load_steps(i, afresh ? NULL : &was);
		for (int o = 0; !afresh && o < was.view.n_apps; o++)
			if (was.uids[o] == from->uid)
			{
				bool		same = was.apps[o].spec_version == app->spec_version &&
					was.view.stack.spec_version == catalog->stack.spec_version;

				app->check = was.apps[o].check;
				app->check_at = retry || !same ? 0 : was.apps[o].check_at;
				if (!same && app->check == CHECK_FAILED)
					app->check = CHECK_NONE;
			}
	}
}

static void
store_step(int at)
{
	Label		label;
	AppRow	   *app = app_row(sim.worker.uids[sim.worker.steps[at].app]);

	step_label(at, &label);
	for (int i = 0; i < app->n_rows; i++)
		if (app->rows[i].step.role == label.role && app->rows[i].step.ordinal == label.ordinal)
		{
			app->rows[i].step = sim.worker.steps[at];
			app->rows[i].id = sim.worker.ids[at];
			/* what is observed is no column */
			decide_keep_observed(&app->rows[i].step, &(Step) {0});
			return;
		}
	violated(0, "no row for %s", label_text(&label));
}

/* ---- Acts ---------------------------------------------------------------- */

/* Looks and logs change no row. */
static bool
only_asks(ActionKind kind)
{
	return kind == ACT_PREFLIGHT || kind == ACT_LOOK || kind == ACT_HISTORY || kind == ACT_LOG;
}

/* What was decided on wishes is decided on present ones: their rows are read once
 * more.  Facts are facts. */
static bool
outdated(const Action *action)
{
	const Worker *worker = &sim.worker;
	const AppRow *row;

	if (action->kind > ACT_FORGET && !action_is_call(action->kind))
		return false;
	if (worker->view.stack.generation != sim.catalog.stack.generation)
		return true;
	if (action->app < 0)
		return false;
	row = app_row(worker->uids[action->app]);
	return !row || row->app.generation != worker->apps[action->app].generation;
}

/* The app's rows go: all of them, or all of its containers'. */
static void
store_end(const Action *action)
{
	AppRow	   *row = app_row(sim.worker.uids[action->app]);

	if (action->kind == ACT_RENEW)
	{
		row->n_rows = 0;
		row->app.current_run = sim.worker.apps[action->app].current_run;
		row->app.phase = APP_REGISTERED;
	}
	else
	{
		memmove(row, row + 1,
				sizeof(AppRow) * (size_t) (&sim.catalog.apps[--sim.catalog.n_apps] - row));
	}
	worker_load(false);
}

static void
store(const Action *action)
{
	Worker	   *worker = &sim.worker;

	switch (action->kind)
	{
		case ACT_STACK_PHASE:
			rules_phase(action, sim.catalog.stack.phase);
			sim.catalog.stack.phase = worker->view.stack.phase;
			break;
		case ACT_APP_PHASE:
			rules_phase(action, app_row(worker->uids[action->app])->app.phase);
			app_row(worker->uids[action->app])->app.phase = worker->apps[action->app].phase;
			break;
		case ACT_APP_FAILED:
			if (action->app < 0)
				sim.catalog.stack.failed = worker->view.stack.failed;
			else
				app_row(worker->uids[action->app])->app.failed = worker->apps[action->app].failed;
			break;
		default:
			store_step(action->step);
	}
}

static const char *
action_text(const Action *action)
{
	static const char *const names[] =
	{"STACK_PHASE", "APP_PHASE", "FAILED", "RENEW", "FORGET", "NOTE_CREATED", "NOTE_VANISHED",
		"NOTE_STRANGER", "NOTE_RUNNING", "NOTE_REFUSED", "NOTE_EXIT", "NOTE_LOST", "NOTE_UP",
		"NOTE_STEADY", "NOTE_REMOVED", "PREFLIGHT", "LOOK", "HISTORY", "LOG", "CREATE", "START",
	"STOP", "KILL", "REMOVE"};
	static char text[120];
	Label		label;

	if (action->step >= 0)
	{
		step_label(action->step, &label);
		snprintf(text, sizeof(text), "%s %s", names[action->kind], label_text(&label));
	}
	else
		snprintf(text, sizeof(text), "%s %s -> %d", names[action->kind],
				 action->app < 0 ? "stack" : sim.worker.apps[action->app].name, action->to);
	return text;
}

/* As in bundled.c: from here through the whole chain. */
static void
handoff_command(Command *command)
{
	const Worker *worker = &sim.worker;
	int			chain[STEPS_MAX];

	command->from = sim.world.server;
	command->recovery = worker->ids[worker->apps[HAF_APP].role_first[ROLE_RECOVERY]];
	command->n_links = decide_chain(&worker->view, chain);
	for (int i = 0; i < command->n_links; i++)
		command->links[i] = worker->ids[chain[i]];
}

static void
send_call(const Action *action)
{
	Worker	   *worker = &sim.worker;
	const App  *app = &worker->apps[action->app];
	Label		label = {worker->uids[action->app], 0, 0, 0, 0};
	Call	   *call;
	int			id = 0;

	if (action->step >= 0)
	{
		step_label(action->step, &label);
		id = worker->ids[action->step];
		worker->steps[action->step].busy = true;
		/* a lost create's id is not known: by name */
		if (worker->steps[action->step].state == STEP_CREATING)
			id = 0;
		rules_send(action->kind, id);
	}
	call = call_send(action->kind, &label, id, worker->view.stack.spec_version + app->spec_version);
	if (action->kind == ACT_CREATE && label.role == ROLE_HANDOFF)
		handoff_command(&call->command);
}

/* False: the round is over, the view is another one now. */
static bool
act(const Action *action)
{
	Worker	   *worker = &sim.worker;
	bool		of_step = action->step >= 0;
	Step		step = {0};
	App			app = {0};
	Stack		stack = worker->view.stack;
	int64_t		next_seq = worker->view.next_seq;
	int			id = 0;

	if (of_step)
	{
		step = worker->steps[action->step];
		id = worker->ids[action->step];
	}
	if (action->app >= 0)
		app = worker->apps[action->app];
	if (sim.recording)
		note("worker: %s", action_text(action));
	decide_intend(&worker->view, action);
	if (only_asks(action->kind))
	{
		send_call(action);
		return true;
	}
	if (action->kind == ACT_CREATE)
		worker->ids[action->step] = 0;
	if (outdated(action) || fault(20))
	{
		bool		old = outdated(action);

		note("worker: %s", old ? "outdated" : "not stored");
		if (of_step)
		{
			worker->steps[action->step] = step;
			worker->ids[action->step] = id;
			worker->steps[action->step].quiet_until = sim.world.now + QUIET;
		}
		if (action->app >= 0)
			worker->apps[action->app] = app;
		worker->view.stack = stack;
		worker->view.next_seq = next_seq;
		return !old;
	}
	rules_intent(action, &step);
	if (action->kind == ACT_RENEW || action->kind == ACT_FORGET)
	{
		store_end(action);
		return false;
	}
	store(action);
	if (fault(4))
	{
		worker_crash();
		return false;
	}
	if (action_is_call(action->kind))
		send_call(action);
	return true;
}

/* The Engine is asked for the container that the server is in, until it answers;
 * a process is never anywhere else. */
static void
find_place(void)
{
	Worker	   *worker = &sim.worker;

	if (sim.bundled && worker->place == PLACE_UNKNOWN && worker->connected &&
		!sim.world.place_hidden && !fault(300))
		worker->place = chain_place();
	worker->view.stack.place = worker->place;
	worker->view.stack.place_note = chance(500) ? "Docker does not know it" : "";
}

size_t
worker_round(void)
{
	Worker	   *worker = &sim.worker;
	size_t		n;

	if (worker->changes != sim.catalog.changes && !fault(300))
		worker_load(false);
	worker->view.now = sim.world.now;
	find_place();
	worker->view.stack.haf_live = sim.world.haf_live &&
		(!sim.bundled || decide_hived_here(&worker->view));
	worker->view.stack.haf_note = "3 blocks behind";
	for (int i = 1; i < worker->view.n_apps; i++)
	{
		worker->apps[i].caught_up = sim.world.caught_up[worker->uids[i]];
		worker->apps[i].sync_note = worker->apps[i].caught_up ? "" : "5 blocks behind";
	}
	decide_prepare(&worker->view);
	n = decide(&worker->view, worker->actions);
	for (size_t i = 0; i < n; i++)
	{
		if (!act(&worker->actions[i]))
			break;
		if (fault(5))
			operator_call();
	}
	return n;
}

/* ---- What comes back ----------------------------------------------------- */

static void
answer_preflight(const Call *call)
{
	Worker	   *worker = &sim.worker;

	for (int i = 0; i < worker->view.n_apps; i++)
	{
		App		   *app = &worker->apps[i];

		if (worker->uids[i] != call->label.uid)
			continue;
		app->check = CHECK_NONE;
		if (call->outcome == OUTCOME_OK && !fault(20))
		{
			app->checked_version = call->version;
			app_row(call->label.uid)->app.checked_version = call->version;
			rules_preflight(call->label.uid, call->version);
			return;
		}
		if (call->outcome != OUTCOME_UNREACHABLE && call->outcome != OUTCOME_LOST)
			app->check = CHECK_FAILED;
		app->check_at = sim.world.now + 10 * SECOND;
	}
}

static void
take_look(Step *step, int *id, const Call *call)
{
	if (call->outcome != OUTCOME_OK && call->outcome != OUTCOME_ABSENT)
		return;
	step->seen = call->seen;
	step->seen_exit = call->exit_code;
	/* of the Engine's times only this counts, that no two processes have the same */
	step->seen_started = call->process;
	step->has_health = call->has_health;
	step->healthy = call->healthy;
	if (step->state == STEP_CREATING && call->found_id)
		*id = call->found_id;
}

void
worker_answer(Call *call)
{
	Worker	   *worker = &sim.worker;
	Action		action = {call->kind, 0, -1, 0};
	int			at;
	Step	   *step,
				before;

	if (call->kind == ACT_PREFLIGHT)
	{
		answer_preflight(call);
		return;
	}
	/* the stream told it first */
	while (sim.world.n_news > 0)
		worker_hear();
	at = step_at(&call->label);
	if (at < 0)
		violated(0, "the answer for %s has no step", label_text(&call->label));
	step = &worker->steps[at];
	note("worker: answer %d to call %d of %s", call->outcome, call->kind, label_text(&call->label));
	worker->view.now = sim.world.now;
	step->busy = false;
	if (call->kind == ACT_LOOK)
		take_look(step, &worker->ids[at], call);
	if (call->kind == ACT_HISTORY && call->outcome == OUTCOME_OK)
		step->ever_started = call->ever_started;
	if (call->kind == ACT_CREATE && call->outcome == OUTCOME_OK)
		worker->ids[at] = call->found_id;
	action.app = step->app;
	action.step = at;
	before = *step;
	decide_settle(&worker->view, &action, call->outcome);
	if (call->kind == ACT_LOOK || call->kind == ACT_HISTORY)
		return;
	if (!fault(20))
	{
		store_step(at);
		return;
	}
	note("worker: the answer is not stored");
	*step = before;
	step->seen = SEEN_UNKNOWN;
	step->quiet_until = sim.world.now + QUIET;
}

void
worker_hear(void)
{
	World	   *world = &sim.world;
	News		news;

	if (world->n_news == 0)
		return;
	news = world->news[0];
	memmove(world->news, world->news + 1, sizeof(News) * (size_t) --world->n_news);
	for (int i = 0; i < sim.worker.view.n_steps; i++)
		if (sim.worker.ids[i] == news.id)
		{
			sim.worker.steps[i].seen = SEEN_UNKNOWN;
			sim.worker.steps[i].kill_seen |= news.kill;
		}
}

/* ---- Connections --------------------------------------------------------- */

void
worker_crash(void)
{
	note("worker: crash");
	sim.world.n_news = 0;
	worker_begin();
	calls_drop(false);
}

void
worker_disconnect(void)
{
	sim.worker.connected = sim.worker.view.stack.engine_up = false;
	sim.worker.view.stack.engine_note = "connection refused";
	sim.world.n_news = 0;
	decide_prepare(&sim.worker.view);
	calls_drop(false);
}

/* A container of ours that the row does not know of: it was made after all. */
static void
adopt(int at)
{
	Label		label;
	const Container *container;
	Step	   *step = &sim.worker.steps[at];

	step_label(at, &label);
	container = container_by_name(&label);
	if (!container || !container->ours || container->label.run != step->run ||
		container->label.attempt < step->attempt)
		return;
	note("worker: adopts container %d", container->id);
	step->attempt = container->label.attempt;
	step->state = STEP_CREATING;
	step->seen = SEEN_UNKNOWN;
	sim.worker.ids[at] = container->id;
	store_step(at);
}

/* The full listing. */
void
worker_resync(void)
{
	for (int i = 0; i < sim.worker.view.n_steps; i++)
	{
		Step	   *step = &sim.worker.steps[i];
		const Container *container = container_by_id(sim.worker.ids[i]);

		if (step->busy)
			continue;
		step->seen = SEEN_UNKNOWN;
		if (step->state == STEP_EXITED)
			step->seen = !container ? SEEN_ABSENT :
				step->log_stored ? container->state : SEEN_UNKNOWN;
		else if (step->state == STEP_WAITING)
			adopt(i);
		else if (step->state == STEP_RUNNING && container && container->state == SEEN_RUNNING)
		{
			step->seen = SEEN_RUNNING;
			step->has_health = container->has_health;
			step->healthy = container->healthy;
		}
	}
}

void
worker_connect(void)
{
	if (sim.bundled && !sim.world.server)
		return;
	if (!sim.worker.alive)
	{
		note("worker: begins");
		worker_begin();
		sim.worker.alive = true;
		worker_load(true);
	}
	if (!sim.world.daemon_up || !sim.world.network_up)
		return;
	note("worker: connects");
	sim.worker.connected = sim.worker.view.stack.engine_up = true;
	worker_resync();
}
