/*
 * operator.c
 *		Those who meddle: SQL calls, with the checks they make, and people with a
 *		docker command at hand.
 */
#include <string.h>

#include "sim.h"

static const char *const names[] =
{"haf", "one", "two", "three", "four", "five", "six", "seven"};

/* ---- SQL calls ----------------------------------------------------------- */

static void
changed(AppRow *app)
{
	sim.catalog.changes++;
	if (app)
		app->app.generation++;
	else
		sim.catalog.stack.generation++;
}

static bool
index_pending(const AppRow *app)
{
	if (app->app.count[ROLE_INDEX] == 0 || app->app.counts_done[ROLE_INDEX])
		return false;
	if (app->app.current_run != app->app.run)
		return true;
	for (int i = 0; i < app->n_rows; i++)
		if (app->rows[i].step.role == ROLE_INDEX && !app->rows[i].step.done &&
			app->rows[i].step.ordinal <= app->app.count[ROLE_INDEX])
			return true;
	return app->app.phase < APP_INDEX_BUILT;
}

static AppRow *
any_app(void)
{
	if (sim.catalog.n_apps < 2)
		return NULL;
	return &sim.catalog.apps[1 + draw((uint64_t) sim.catalog.n_apps - 1)];
}

static void
register_app(void)
{
	Catalog    *catalog = &sim.catalog;
	AppRow		row;
	int			place;

	if (catalog->n_apps == APPS_MAX)
		return;
	memset(&row, 0, sizeof(row));
	row.uid = catalog->next_uid++;
	row.app.name = names[row.uid % 8];
	row.app.generation = row.app.spec_version = 1;
	row.app.run = row.app.current_run = catalog->next_run++;
	row.app.count[ROLE_INDEX] = sim.world.hived_connected && !sim.bundled ? 0 : (int) draw(3);
	row.app.count[ROLE_SETUP] = (int) draw(3);
	row.app.count[ROLE_SYNC] = (int) draw(3);
	row.app.count[ROLE_LIVE_SYNC] = chance(300) ? 1 + (int) draw(2) : 0;
	row.app.count[ROLE_API] = (int) draw(3);
	row.app.has_contexts = row.app.count[ROLE_SYNC] > 0 || chance(500);
	row.app.counts_done[ROLE_INDEX] = chance(100);
	row.app.counts_done[ROLE_SETUP] = chance(100);
	row.bad_spec = fault(60);
	for (int i = 1; i < catalog->n_apps; i++)
		if (chance(300) && !catalog->apps[i].app.removing)
			row.depends_on[row.app.n_depends_on++] = catalog->apps[i].uid;
	place = 1 + (int) draw((uint64_t) catalog->n_apps);
	memmove(&catalog->apps[place + 1], &catalog->apps[place],
			sizeof(AppRow) * (size_t) (catalog->n_apps - place));
	catalog->apps[place] = row;
	catalog->n_apps++;
	catalog->changes++;
	note("sql: register %s (%d) at %d: index %d setup %d sync %d live_sync %d api %d, %d dependencies",
		 row.app.name, row.uid, place, row.app.count[ROLE_INDEX], row.app.count[ROLE_SETUP],
		 row.app.count[ROLE_SYNC], row.app.count[ROLE_LIVE_SYNC], row.app.count[ROLE_API],
		 row.app.n_depends_on);
}

static void
alter_app(AppRow *app)
{
	note("sql: alter %s", app->app.name);
	app->app.spec_version++;
	app->bad_spec = fault(60);
	if (chance(600))
	{
		Role		role = chance(500) ? ROLE_API : chance(500) ? ROLE_SETUP : ROLE_SYNC;

		app->app.count[role] = (int) draw(3);
		if (app->app.count[ROLE_SYNC] > 0)
			app->app.has_contexts = true;
		note("sql: count of role %d is now %d", (int) role, app->app.count[role]);
	}
	if (chance(50))
		app->app.counts_done[ROLE_INDEX] = true;
	changed(app);
}

static bool
has_dependants(const AppRow *app)
{
	for (int i = 1; i < sim.catalog.n_apps; i++)
		for (int d = 0; d < sim.catalog.apps[i].app.n_depends_on; d++)
			if (sim.catalog.apps[i].depends_on[d] == app->uid)
				return true;
	return false;
}

/* There are indexes to build, for which hived would have to be stopped. */
static bool
late_index(void)
{
	for (int i = 1; i < sim.catalog.n_apps; i++)
		if (sim.world.hived_connected && !sim.catalog.apps[i].app.held &&
			index_pending(&sim.catalog.apps[i]))
			return true;
	return false;
}

static void
start(bool restart_haf)
{
	Stack	   *stack = &sim.catalog.stack;

	if (restart_haf ? stack->running && stack->phase > STACK_INDEX_BUILD : late_index())
		return;
	note("sql: start%s", restart_haf ? " with restart_haf" : "");
	stack->running = true;
	stack->restart_haf = restart_haf;
	stack->force_stop = false;
	changed(NULL);
}

static void
stack_call(void)
{
	Stack	   *stack = &sim.catalog.stack;

	switch (draw(8))
	{
		case 0:
		case 1:
			stack->paused = !stack->paused && chance(400);
			note("sql: %s", stack->paused ? "pause" : "resume");
			changed(NULL);
			break;
		case 2:
			note("sql: stop");
			stack->running = false;
			stack->force_stop = chance(300);
			changed(NULL);
			break;
		case 3:
			if (chance(300))
			{
				note("sql: alter the stack");
				stack->spec_version++;
				changed(NULL);
			}
			break;
		case 4:
			/* the database is a copy, until start(take_over => true) */
			stack->copied = !stack->copied && chance(100);
			changed(NULL);
			break;
		default:
			start(sim.bundled && chance(400));
	}
}

static void
app_call(AppRow *app)
{
	switch (draw(12))
	{
		case 0:
			alter_app(app);
			return;
		case 1:
			app->app.held = !app->app.held && chance(600);
			break;
		case 2:
			app->app.held = false;
			break;
		case 3:
			if (app->app.removing || chance(300) ||
				(sim.world.hived_connected && app->app.count[ROLE_INDEX] &&
				 !app->app.counts_done[ROLE_INDEX] && !sim.bundled))
				return;
			note("sql: reset %s", app->app.name);
			app->app.run = sim.catalog.next_run++;
			break;
		case 4:
			if (has_dependants(app) || chance(600))
				return;
			note("sql: remove %s", app->app.name);
			app->app.removing = true;
			break;
		case 5:
			if (!app->app.failed)
				return;
			note("sql: skip %s", app->app.name);
			app->skip = true;
			break;
		default:
			if (!app->app.failed)
				return;
			note("sql: retry %s", app->app.name);
			app->retry = true;
	}
	/* with another chain another link may be taken for the one that could not be started */
	sim.world.program.disturbed = true;
	chain_forget_unstarted();
	note("sql: %s is %s", app->app.name, app->app.held ? "held" : "free");
	changed(app);
}

void
operator_call(void)
{
	AppRow	   *app = any_app();

	if (sim.bundled && !sim.world.server)
	{
		if (chance(200))
			chain_rescue();
		return;
	}
	if (chance(150))
		register_app();
	else if (chance(250))
		stack_call();
	else if (chance(100) && sim.catalog.apps[HAF_APP].app.failed)
	{
		sim.catalog.apps[HAF_APP].retry = true;
		changed(NULL);
	}
	else if (app)
		app_call(app);
}

void
operator_begin(void)
{
	Catalog    *catalog = &sim.catalog;
	AppRow	   *haf = &catalog->apps[HAF_APP];

	memset(catalog, 0, sizeof(*catalog));
	catalog->n_apps = 1;
	catalog->next_uid = 1;
	catalog->next_run = 1;
	catalog->stack.generation = catalog->stack.spec_version = 1;
	haf->app.name = names[0];
	haf->app.count[ROLE_INSTANCE] = sim.bundled ? 1 : (int) draw(2);
	haf->app.count[ROLE_RECOVERY] = haf->app.count[ROLE_HANDOFF] = sim.bundled;
	catalog->stack.bundled = sim.bundled;
	haf->app.count[ROLE_LIVE_SYNC] = chance(300);
	for (int i = (int) draw(APPS_MAX); i > 0; i--)
		register_app();
	if (chance(800))
		start(false);
}

/* ---- The end of a history: somebody brings it to a good end -------------- */

/* bundled: hived can be stopped for an index, when the stack is idle. */
static bool
may_build_late(const AppRow *app)
{
	Stack	   *stack = &sim.catalog.stack;

	/* some ask for it, others say that the indexes are there */
	if (!sim.bundled || app->uid % 2 == 0)
		return false;
	if (stack->running && stack->phase > STACK_INDEX_BUILD)
	{
		note("sql: stop, for %s's indexes", app->app.name);
		stack->running = false;
		changed(NULL);
	}
	else if (stack->running && !stack->restart_haf && sim.world.hived_connected)
		start(true);
	return true;
}

void
operator_help(void)
{
	Catalog    *catalog = &sim.catalog;
	Stack	   *stack = &catalog->stack;
	Container  *rival;

	if (sim.bundled && (!sim.world.server || chain_stuck()))
	{
		chain_rescue();
		return;
	}
	if (sim.bundled && sim.world.daemon_up && (rival = chain_rival()) != NULL)
	{
		note("operator: docker stop %d, and no restart", rival->id);
		rival->policy = RESTART_NO;
		docker_signal(rival, true);
		program_end();
	}
	if (stack->paused || stack->copied)
	{
		stack->paused = stack->copied = false;
		changed(NULL);
	}
	sim.world.program.disturbed = true; /* as by any call, see above */
	for (int i = 0; i < catalog->n_apps; i++)
	{
		AppRow	   *app = &catalog->apps[i];

		if (app->app.held || app->app.failed || app->bad_spec)
		{
			app->app.held = app->bad_spec = false;
			app->retry = true;
			changed(i == HAF_APP ? NULL : app);
		}
		/* as explain() says */
		if (i != HAF_APP && index_pending(app) && !app->app.removing && may_build_late(app))
			;
		else if (i != HAF_APP && index_pending(app) &&
				 (sim.world.hived_connected || stack->phase > STACK_INDEX_BUILD))
		{
			app->app.counts_done[ROLE_INDEX] = true;
			app->app.spec_version++;
			changed(app);
		}
	}
	if (!stack->running && (stack->phase == STACK_IDLE || !late_index()))
		start(sim.bundled && late_index());
	/* containers in the way: strangers, and ours of another time */
	for (int i = 0; i < CONTAINERS_MAX; i++)
	{
		Container  *container = &sim.world.containers[i];
		const Row  *row = container->id ? row_of(&container->label) : NULL;

		if (container->has_data && (!container->ours || container->state == SEEN_RUNNING))
			continue;
		if (container->id && (!container->ours || !row ||
							  (row->id && row->id != container->id)))
		{
			note("outsider: clears container %d away", container->id);
			container->id = 0;
		}
	}
}

/* ---- People with a docker command ---------------------------------------- */

static void
make_stranger(void)
{
	AppRow	   *app = &sim.catalog.apps[draw((uint64_t) sim.catalog.n_apps)];
	Label		label = {app->uid, (Role) draw(ROLES), 1 + (int) draw(ORDINALS_MAX), -1, 0};

	if (!container_by_name(&label))
		docker_create(&label, false);
}

static void
meddle_with(Container *container)
{
	sim.meddled = true;
	fate_of(&container->label)->outsider = true;
	switch (container->state == SEEN_EXITED && chance(500) ? 1 : draw(4))
	{
		case 0:
			if (container->id == sim.world.first)
				break;
			note("outsider: docker rm -f %d", container->id);
			docker_delete(container);
			break;
		case 1:
			if (container->state == SEEN_RUNNING)
				break;
			container->stopped_by_hand = false;
			note("outsider: docker start %d", container->id);
			docker_begin(container);
			break;
		default:
			if (container->state == SEEN_RUNNING)
			{
				note("outsider: docker stop %d", container->id);
				docker_signal(container, false);
			}
			break;
	}
}

void
outsider_act(void)
{
	Container  *container = any_container(false);

	if (!sim.world.daemon_up)
		return;
	if (!container || chance(200))
		make_stranger();
	else if (container->ours || (container->has_data && container->state != SEEN_RUNNING))
		meddle_with(container);
	else if (!container->has_data)
	{
		note("outsider: a stranger goes");
		container->id = 0;
	}
}
