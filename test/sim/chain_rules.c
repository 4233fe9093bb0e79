/*
 * chain_rules.c
 *		What the rules of the design say of the bundled topology.
 *
 * As in rules.c, what counts is what Docker did, and what only an outsider can
 * have caused is excused.
 */
#include <string.h>

#include "sim.h"

static bool
is_chained(Role role)
{
	return role == ROLE_INDEX || role == ROLE_INSTANCE || role == ROLE_RECOVERY;
}

/* Has the step's index build been done, or need it not be? */
static bool
index_is_done(const App *app, const Step *step)
{
	return step->done || app->counts_done[ROLE_INDEX] || step->ordinal > app->count[ROLE_INDEX];
}

/* The ids that the chain has to have now, in order, by the rows; 0: not made. */
static int
chain_now(int *links)
{
	const Worker *worker = &sim.worker;
	int			n = 0;
	int			first = -1;

	for (int i = 1; i < worker->view.n_apps; i++)
	{
		const App  *app = &worker->apps[i];

		for (int s = app->first_step; s < app->first_step + app->n_steps; s++)
			if (worker->steps[s].role == ROLE_INDEX && !rules_aside(i) &&
				app->phase <= APP_INDEX_BUILD && !index_is_done(app, &worker->steps[s]))
			{
				if (first < 0 && worker->view.stack.place == PLACE_INDEX &&
					worker->steps[s].state == STEP_RUNNING)
					first = n;
				links[n++] = worker->ids[s];
			}
	}
	/* the build that the server is in goes first */
	if (first > 0)
	{
		int			running = links[first];

		memmove(&links[1], &links[0], sizeof(int) * (size_t) first);
		links[0] = running;
	}
	links[n++] = worker->ids[worker->apps[HAF_APP].role_first[ROLE_INSTANCE]];
	return n;
}

/* ---- Intents ------------------------------------------------------------- */

static void
is_there(int id, const char *what)
{
	const Container *container = container_by_id(id);

	if (!container || !container->ours || !container->has_data)
		violated(1, "the program is started, and %s is not made", what);
}

static void
link_start(int id)
{
	const Container *container = container_by_id(id);

	is_there(id, "a link");
	if (container->given_up)
		violated(7, "what the program gave up is handed over again without a retry");
	/* there was no worker in it that could be too late to see that */
	if (container->label.role == ROLE_INDEX && container->state == SEEN_EXITED &&
		container->exit_code == 0)
		violated(7, "an index that is built is handed over again");
}

static void
handoff_start(const Container *own)
{
	const Stack *stack = &sim.catalog.stack;
	const Command *command = own ? &own->command : NULL;
	const Container *server = container_by_id(sim.world.server);
	int			links[STEPS_MAX];
	int			n = chain_now(links);

	if (!command || sim.meddled)
		return;
	for (int i = 0; i < CONTAINERS_MAX; i++)
		if (sim.world.containers[i].id && &sim.world.containers[i] != own &&
			sim.world.containers[i].label.role == ROLE_HANDOFF && sim.world.containers[i].ours &&
			sim.world.containers[i].state == SEEN_RUNNING)
			violated(1, "two hand-off programs");
	if (command->from != sim.world.server)
		violated(1, "the program begins at container %d, and the server is in %d",
				 command->from, sim.world.server);
	is_there(command->recovery, "the recovery container");
	for (int i = 0; i < command->n_links; i++)
		link_start(command->links[i]);
	if (command->n_links != n || memcmp(command->links, links, sizeof(int) * (size_t) n) != 0)
		violated(1, "the program is started with another chain than is wanted");
	if (server && server->hived && !stack->restart_haf)
		violated(1, "hived is to be stopped without restart_haf");
	if (server && server->hived && n < 2)
		violated(1, "hived is to be stopped for nothing");
	sim.world.program.may_stop_hived = stack->restart_haf;
}

/* Cloned from the container that the server is in. */
static void
chain_create(const Step *step)
{
	if (sim.worker.place == PLACE_UNKNOWN)
		violated(1, "a container is cloned from nobody knows what");
	if (sim.worker.place == PLACE_INDEX && step->role != ROLE_HANDOFF)
		violated(1, "a container is cloned from an index builder");
}

static void
chain_remove(const Container *container)
{
	if (!container || !container->has_data)
		return;
	if (!sim.meddled && container->id == sim.world.server)
		violated(6, "the container that the server is in is removed");
	if (!sim.meddled && program_runs() && chain_member(container))
		violated(6, "%s is removed, and the hand-off program may need it", label_text(&container->label));
}

void
chain_rules_intent(const Action *action)
{
	const Step *step = &sim.worker.steps[action->step];
	const Container *container = container_by_id(sim.worker.ids[action->step]);

	switch (action->kind)
	{
		case ACT_CREATE:
			if (is_chained(step->role) || step->role == ROLE_HANDOFF)
				chain_create(step);
			break;
		case ACT_START:
		case ACT_STOP:
		case ACT_KILL:
			if (is_chained(step->role))
				violated(1, "the worker starts or stops a container with the data directory");
			if (action->kind == ACT_KILL && step->role == ROLE_HANDOFF)
				violated(1, "the hand-off program is killed");
			if (action->kind == ACT_START && step->role == ROLE_HANDOFF)
				handoff_start(container);
			break;
		case ACT_REMOVE:
			chain_remove(container);
			break;
		case ACT_NOTE_REFUSED:
			/* what it gave up may not be wanted any more: the next is tried too early */
			if (is_chained(step->role) && !sim.meddled && container &&
				!sim.world.program.disturbed && container->id != sim.world.program.gave_up)
				violated(11, "%s is failed, and another link could not be started", label_text(&container->label));
			break;
		default:
			break;
	}
}

/* ---- Docker's side ------------------------------------------------------- */

void
chain_rules_begun(const Container *container)
{
	if (!sim.meddled && data_in_use(container))
		violated(1, "two containers with the data directory run: %s is the second",
				 label_text(&container->label));
}

/* By the program. */
void
chain_rules_started(const Container *container)
{
	Fate	   *fate = fate_of(&container->label);

	if (!sim.meddled && data_in_use(container))
		violated(1, "%s is started beside another", label_text(&container->label));
	if (container->label.role != ROLE_INDEX)
		return;
	if (fate->succeeded && !fate->outsider && !(fate->unknown && fate->retried))
		violated(7, "%s exited 0 and runs again", label_text(&container->label));
	if (fate->unknown && !fate->retried && !fate->outsider)
		violated(7, "%s runs again though its outcome is unknown", label_text(&container->label));
	if (fate->skipped && !sim.meddled && !sim.world.program.by_hand)
		violated(7, "%s was skipped and runs", label_text(&container->label));
	fate->succeeded = fate->unknown = false;
}

/* By the program; its own HAF it may, when that does not stay up. */
void
chain_rules_stopped(const Member *member)
{
	const Container *container = container_by_id(member->id);

	if (!sim.meddled && container && container->hived && container->state == SEEN_RUNNING &&
		member->starts == 0 && !sim.world.program.may_stop_hived)
		violated(1, "hived is stopped without restart_haf");
}

/* ---- The stack ----------------------------------------------------------- */

void
chain_rules_haf_sync(void)
{
	Place		place = chain_place();

	if (place != PLACE_INSTANCE && place != PLACE_HIVED)
		violated(1, "haf_sync, and the server is not where hived is");
}

bool
chain_all_done(void)
{
	Place		place = chain_place();

	return place == PLACE_INSTANCE || place == PLACE_HIVED;
}

/* Is there anything of the chain that the worker may rightly wait for? */
bool
chain_has_reason(void)
{
	const View *view = &sim.worker.view;
	Place		place = chain_place();
	bool		hived = place == PLACE_INSTANCE || place == PLACE_HIVED;
	int			links[STEPS_MAX];

	if (view->stack.place == PLACE_UNKNOWN || (sim.meddled && chain_stuck()))
		return true;
	if (hived && !sim.world.haf_live && view->stack.phase >= STACK_HAF_SYNC)
		return true;
	/* explain() asks for restart_haf */
	return hived && view->stack.phase == STACK_INDEX_BUILD && !view->stack.restart_haf &&
		chain_now(links) > 1;
}

/* stop() lets the containers with the data directory be, and nothing else. */
static void
stop_has_ended(void)
{
	for (int i = 0; i < CONTAINERS_MAX; i++)
		if (sim.world.containers[i].id && !sim.world.containers[i].has_data &&
			sim.world.containers[i].state == SEEN_RUNNING)
			return;
	violated(11, "stop() does not come to its end");
}

/* Nothing is left of a chain that is over. */
void
chain_rules_still(void)
{
	const Stack *stack = &sim.worker.view.stack;

	if ((stack->paused || !stack->running) && !stack->copied && !sim.meddled && program_runs())
		violated(11, "the hand-off program goes on while the stack is %s",
				 stack->paused ? "paused" : "stopped");
	if (!stack->running && !stack->paused && !stack->copied && stack->phase != STACK_IDLE)
		stop_has_ended();
	if (!stack->running || stack->paused || stack->copied || stack->phase <= STACK_INDEX_BUILD ||
		stack->place == PLACE_UNKNOWN || !chain_all_done() || sim.meddled)
		return;
	for (int i = 0; i < CONTAINERS_MAX; i++)
	{
		const Container *container = &sim.world.containers[i];

		if (container->id && container->ours &&
			(container->label.role == ROLE_RECOVERY || container->label.role == ROLE_HANDOFF))
			violated(6, "%s is left over", label_text(&container->label));
	}
}
