/*
 * world.c
 *		Docker and HAF, as far as the worker can tell.
 */
#include <string.h>

#include "sim.h"

void
world_begin(void)
{
	World	   *world = &sim.world;

	memset(world, 0, sizeof(*world));
	world->now = 1000 * SECOND;
	world->daemon_up = world->network_up = true;
	world->next_id = world->next_seq = 1;
}

static bool
same_name(const Label *a, const Label *b)
{
	return a->uid == b->uid && a->role == b->role && a->ordinal == b->ordinal;
}

Container *
container_by_id(int id)
{
	for (int i = 0; i < CONTAINERS_MAX && id; i++)
		if (sim.world.containers[i].id == id)
			return &sim.world.containers[i];
	return NULL;
}

Container *
container_by_name(const Label *label)
{
	for (int i = 0; i < CONTAINERS_MAX; i++)
		if (sim.world.containers[i].id && same_name(&sim.world.containers[i].label, label))
			return &sim.world.containers[i];
	return NULL;
}

Fate *
fate_of(const Label *label)
{
	World	   *world = &sim.world;
	Fate	   *fate;

	for (int i = world->n_fates - 1; i >= 0; i--)
		if (same_name(&world->fates[i].label, label) && world->fates[i].label.run == label->run)
			return &world->fates[i];
	if (world->n_fates == FATES_MAX)
		violated(0, "the simulator ran out of fates");
	fate = &world->fates[world->n_fates++];
	memset(fate, 0, sizeof(*fate));
	fate->label = *label;
	return fate;
}

void
docker_tell(const Container *container, bool kill)
{
	World	   *world = &sim.world;

	if (!world->network_up || !world->daemon_up || !sim.worker.connected || !container->ours)
		return;
	if (world->n_news == NEWS_MAX)
	{
		worker_disconnect();
		return;
	}
	world->news[world->n_news++] = (News) {container->id, kill};
}

/* ---- Containers ---------------------------------------------------------- */

Container *
docker_create(const Label *label, bool ours)
{
	World	   *world = &sim.world;

	for (int i = 0; i < CONTAINERS_MAX; i++)
	{
		Container  *container = &world->containers[i];

		if (container->id)
			continue;
		if (world->next_id == IDS_MAX)
			violated(0, "the simulator ran out of ids");
		memset(container, 0, sizeof(*container));
		container->id = world->next_id++;
		container->ours = ours;
		container->label = *label;
		container->state = SEEN_CREATED;
		container->seq = world->next_seq++;
		container->has_health = (label->uid + label->role) % 3 == 0;
		world->born[container->id] = (unsigned char) world->daemon_life;
		note("docker: %s container %d for %s", ours ? "our" : "a stranger's",
			 container->id, label_text(label));
		return container;
	}
	violated(0, "the simulator ran out of containers");
}

void
docker_begin(Container *container)
{
	container->state = SEEN_RUNNING;
	container->signalled = container->healthy = container->given_up = false;
	container->lives++;
	sim.world.started[container->id] = 1;
	container->began = sim.world.now;
	container->process = ++sim.world.processes;
	fate_of(&container->label)->was_up |= container->label.role != ROLE_API;
	note("docker: container %d (%s) runs", container->id, label_text(&container->label));
	if (container->id == sim.world.program.id)
		program_begun(container);
	data_begun(container);
	docker_tell(container, false);
}

void
docker_exit(Container *container, int exit_code)
{
	Fate	   *fate = fate_of(&container->label);

	container->state = SEEN_EXITED;
	container->exit_code = exit_code;
	container->healthy = container->locked_out = false;
	container->lives++;
	note("docker: container %d (%s) exits %d%s", container->id, label_text(&container->label),
		 exit_code, container->signalled ? ", signalled" : "");
	if (container->ours && exit_code == 0 && role_is_job(container->label.role))
	{
		if (container->signalled)
			fate->outsider = true;	/* a job must not; either way is right */
		else
			fate->succeeded = true;
	}
	chain_exit(container);
	docker_tell(container, false);
	data_ended(container);
}

/* What a process does when it is signalled. */
void
docker_signal(Container *container, bool kill)
{
	bool		graceful;

	container->signalled = true;
	docker_tell(container, true);
	if (container->has_data || container->id == sim.world.program.id)
	{
		chain_signal(container, kill);
		return;
	}
	if (role_is_job(container->label.role))
		graceful = fault(20);
	else
		graceful = chance(600);
	docker_exit(container, kill ? 137 : graceful ? 0 : 143);
}

void
docker_delete(Container *container)
{
	Fate	   *fate = fate_of(&container->label);
	Row		   *row = row_of(&container->label);

	note("docker: container %d (%s) is removed", container->id, label_text(&container->label));
	if (container->ours && container->our_starts > 0 &&
		row && row->id == container->id && !row->step.has_exit)
	{
		fate->unknown = true;
		fate->retried = false;
	}
	docker_tell(container, false);
	data_ended(container);
	container->id = 0;
}

/* ---- Calls --------------------------------------------------------------- */

Call *
call_send(ActionKind kind, const Label *label, int id, int64_t version)
{
	for (int i = 0; i < CALLS_MAX; i++)
	{
		Call	   *call = &sim.world.calls[i];

		if (call->used)
			continue;
		memset(call, 0, sizeof(*call));
		call->used = call->listening = true;
		call->kind = kind;
		call->label = *label;
		call->id = id;
		call->version = version;
		call->lost = fault(30);
		return call;
	}
	violated(0, "the simulator ran out of calls");
}

int
calls_pending(void)
{
	int			n = 0;

	for (int i = 0; i < CALLS_MAX; i++)
		n += sim.world.calls[i].used;
	return n;
}

static Outcome
deliver_create(Call *call)
{
	Container  *container;

	if (container_by_name(&call->label))
		return OUTCOME_CONFLICT;
	if (fault(30))
		return chance(500) ? OUTCOME_REFUSED : OUTCOME_ABSENT;
	container = docker_create(&call->label, true);
	call->found_id = container->id;
	rules_created(container);
	if (call->label.role == ROLE_HANDOFF)
		program_made(container, &call->command);
	container->has_data = sim.bundled && (call->label.role == ROLE_INDEX ||
										  call->label.role == ROLE_INSTANCE || call->label.role == ROLE_RECOVERY);
	container->hived = call->label.role == ROLE_INSTANCE;
	fate_of(&call->label)->last_seq = container->seq;
	return OUTCOME_OK;
}

static Outcome
deliver_start(Call *call)
{
	Container  *container = container_by_id(call->id);

	if (!container)
		return OUTCOME_ABSENT;
	if (container->state == SEEN_RUNNING)
		return OUTCOME_OK;
	if (fault(40))
		return OUTCOME_REFUSED;
	container->our_starts++;
	container->stopped_by_hand = false;
	container->restarts = 0;
	fate_of(&container->label)->our_starts++;
	docker_begin(container);
	rules_started(container);
	return OUTCOME_OK;
}

static Outcome
deliver_stop(Call *call)
{
	Container  *container = container_by_id(call->id);

	if (!container)
		return OUTCOME_ABSENT;
	if (container->state != SEEN_RUNNING || container->restarting)
		return OUTCOME_CONFLICT;
	if (container->label.role == ROLE_HANDOFF && call->kind == ACT_STOP)
	{
		docker_tell(container, true);
		program_ask();
		return OUTCOME_OK;
	}
	docker_signal(container, call->kind == ACT_KILL);
	return OUTCOME_OK;
}

static Outcome
deliver_remove(Call *call)
{
	Container  *container = container_by_id(call->id);

	if (!container)
		return OUTCOME_ABSENT;
	if (container->state == SEEN_RUNNING)
		return OUTCOME_CONFLICT;
	/* one that comes late may find another state than the worker knew of */
	if (call->listening)
		rules_removed(container, row_of(&call->label));
	docker_delete(container);
	return OUTCOME_OK;
}

/* By name while its id is not known. */
static Outcome
deliver_look(Call *call)
{
	Container  *container = call->id ? container_by_id(call->id) : container_by_name(&call->label);

	call->seen = SEEN_ABSENT;
	if (!container)
		return OUTCOME_ABSENT;
	if (!container->ours || container->label.run != call->label.run)
	{
		call->seen = SEEN_STRANGER;
		return OUTCOME_OK;
	}
	call->found_id = container->id;
	call->seen = container->state;
	call->exit_code = container->exit_code;
	call->process = container->process;
	call->has_health = container->has_health;
	call->healthy = container->healthy;
	return OUTCOME_OK;
}

static bool
preflight_fails(const Call *call)
{
	const AppRow *app = app_row(call->label.uid);

	return fault(100) || (app && app->bad_spec);
}

static Outcome
deliver(Call *call)
{
	switch (call->kind)
	{
		case ACT_CREATE:
			return deliver_create(call);
		case ACT_START:
			return deliver_start(call);
		case ACT_STOP:
		case ACT_KILL:
			return deliver_stop(call);
		case ACT_REMOVE:
			return deliver_remove(call);
		case ACT_LOOK:
			return deliver_look(call);
		case ACT_HISTORY:
			/* a daemon that began anew has forgotten: that is no "no" */
			call->ever_started = sim.world.started[call->id] ||
				sim.world.born[call->id] != (unsigned char) sim.world.daemon_life ?
				ANSWER_YES : ANSWER_NO;
			return OUTCOME_OK;
		case ACT_LOG:
			return container_by_id(call->id) ? OUTCOME_OK : OUTCOME_ABSENT;
		case ACT_PREFLIGHT:
			return preflight_fails(call) ? OUTCOME_REFUSED : OUTCOME_OK;
		default:
			violated(0, "action %d is no call", (int) call->kind);
	}
}

/* Let a call come one step further: to Docker, or back to the worker. */
void
call_progress(Call *call)
{
	bool		reachable = sim.world.daemon_up && (sim.world.network_up || !call->listening);

	if (!call->delivered && call->listening && (!reachable || call->lost || fault(40)))
	{
		/* nothing was sent, or no answer came in time and the call may come late */
		bool		for_certain = !call->lost && chance(300);

		call->outcome = for_certain ? OUTCOME_UNREACHABLE : OUTCOME_LOST;
		call->listening = false;
		worker_answer(call);
		call->used = !for_certain && !call->lost && sim.world.daemon_up;
	}
	else if (!call->delivered)
	{
		call->outcome = deliver(call);
		call->delivered = true;
		call->used = call->listening;
	}
	else
	{
		call->listening = false;
		if (!sim.world.network_up || !sim.world.daemon_up || fault(40))
			call->outcome = OUTCOME_LOST;
		worker_answer(call);
		call->used = false;
	}
}

/* Nobody listens any more.  What has not come to Docker may still come late, but
 * for what a daemon takes with it. */
void
calls_drop(bool by_daemon)
{
	for (int i = 0; i < CALLS_MAX; i++)
	{
		Call	   *call = &sim.world.calls[i];
		bool		late = !call->delivered && !call->lost && !by_daemon &&
			call->kind != ACT_PREFLIGHT;

		if (!call->used)
			continue;
		call->used = late;
		if (!call->listening)
			continue;
		call->listening = false;
		call->outcome = OUTCOME_LOST;
		if (sim.worker.alive)
			worker_answer(call);
	}
}

/* ---- The daemon ---------------------------------------------------------- */

void
daemon_down(bool graceful)
{
	note("docker: the daemon %s", graceful ? "stops" : "is killed");
	for (int i = 0; i < CONTAINERS_MAX; i++)
	{
		Container  *container = &sim.world.containers[i];

		if (!container->id || container->state != SEEN_RUNNING)
			continue;
		if (container->restarting)
			;
		else if (graceful)
			docker_signal(container, container->has_data);
		else
		{
			container->signalled = true;
			docker_exit(container, chance(500) ? 137 : 255);
		}
		/* one that is killed finds them running still, and ends them: as if by a call */
		container->stopped_by_hand = !graceful && chance(500);
		container->restarting = false;
		container->state = SEEN_EXITED;
	}
	sim.world.daemon_up = false;
	worker_disconnect();
	calls_drop(true);
}

void
daemon_return(void)
{
	note("docker: the daemon is back");
	sim.world.daemon_up = true;
	sim.world.daemon_life++;
	if (sim.bundled)
		chain_daemon_return();
}

/* ---- What happens by itself ---------------------------------------------- */

/* An API without health check that has run for a tenth of a second was up. */
void
docker_time_passed(void)
{
	for (int i = 0; i < CONTAINERS_MAX; i++)
	{
		const Container *container = &sim.world.containers[i];

		if (container->ours && container->state == SEEN_RUNNING && !container->has_health &&
			sim.world.now >= container->began + SECOND / 10)
			fate_of(&container->label)->was_up = true;
	}
	if (sim.bundled)
		chain_time_passed();
}

static void
process_step(Container *container)
{
	bool		job = role_is_job(container->label.role);

	if (sim.bundled && chain_process(container))
		return;
	if (!container->ours || container->state != SEEN_RUNNING)
		return;
	if (container->has_health && !container->healthy && chance(500))
	{
		container->healthy = fate_of(&container->label)->was_up = true;
		docker_tell(container, false);
	}
	else if (container->has_health && fault(50))
	{
		container->healthy = false;
		docker_tell(container, false);
	}
	else if (sim.kind ? job && chance(500) : chance(job ? 300 : 60))
		docker_exit(container, sim.kind || chance(650) ? 0 : (int) draw(3) + 1);
}

/* HAF's state and the apps' contexts move. */
static void
haf_step(void)
{
	World	   *world = &sim.world;
	Catalog    *catalog = &sim.catalog;
	AppRow	   *haf = &catalog->apps[HAF_APP];
	const Container *server = container_by_id(world->server);
	bool		hived = haf->app.count[ROLE_INSTANCE] == 0 || (server && server->hived);

	for (int i = 0; i < CONTAINERS_MAX && !sim.bundled; i++)
		hived |= world->containers[i].id && world->containers[i].ours &&
			world->containers[i].label.role == ROLE_INSTANCE &&
			world->containers[i].state == SEEN_RUNNING;
	/* hived that is not ours is up from some moment on; ask it to wait for us */
	if (hived && (haf->app.count[ROLE_INSTANCE] || catalog->stack.phase >= STACK_HAF_SYNC))
		world->hived_connected = true;
	if (!world->haf_live && hived && world->hived_connected && chance(200))
		world->haf_live = true;
	else if (world->haf_live && fault(40))
		world->haf_live = false;
	for (int i = 1; i < catalog->n_apps; i++)
	{
		bool	   *caught_up = &world->caught_up[catalog->apps[i].uid];

		if (catalog->apps[i].app.phase >= APP_SYNC && !*caught_up && chance(200))
			*caught_up = true;
		else if (*caught_up && fault(20))
			*caught_up = false;
	}
}

/* One that is there, drawn at random; only running ones on request. */
Container *
any_container(bool running)
{
	Container  *chosen = NULL;
	uint64_t	n = 0;

	for (int i = 0; i < CONTAINERS_MAX; i++)
	{
		Container  *container = &sim.world.containers[i];

		if (container->id && (!running || container->state == SEEN_RUNNING) && draw(++n) == 0)
			chosen = container;
	}
	return chosen;
}

void
world_step(void)
{
	Container  *container;

	if (chance(200))
		haf_step();
	else if (sim.bundled && chance(400))
		program_step();
	else if ((container = any_container(true)) != NULL)
		process_step(container);
}
