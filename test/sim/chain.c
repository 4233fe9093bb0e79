/*
 * chain.c
 *		The bundled topology: one data directory, the containers that have it, and
 *		the hand-off program that takes it through the chain.
 *
 * The program does what extension/handoff.c does, one call or look at a time, so
 * it can be killed between what it writes down and what it then does.  The worker
 * lives where the server does.
 */
#include <string.h>

#include "sim.h"

#define FIRST_UID		(-1)	/* nobody's: the operator's container is not ours */
#define LOOK_TIME		(200 * MILLISECOND)
#define LOST_START_TIME	(2 * SECOND)
#define STEADY_TIME		(10 * SECOND)
#define RETRY_DELAY		(10 * SECOND)
#define MAX_DELAY		(300 * SECOND)
#define LOCKED_TIME		SECOND	/* a second server sees so soon that it is one */

/* ---- The data directory -------------------------------------------------- */

void
chain_begin(void)
{
	World	   *world = &sim.world;
	Label		label = {FIRST_UID, ROLE_INSTANCE, 1, 0, 0};
	Container  *first = docker_create(&label, false);

	first->has_data = true;
	first->hived = chance(250);
	first->policy = world->policy = (Restart) draw(3);
	if (world->policy == RESTART_NO)
		world->policy = RESTART_UNLESS_STOPPED;
	world->first = first->id;
	docker_begin(first);
}

Place
chain_place(void)
{
	const Container *container = container_by_id(sim.world.server);

	if (!container)
		return PLACE_UNKNOWN;
	if (!container->ours)
		return container->hived ? PLACE_HIVED : PLACE_FIRST;
	return container->label.role == ROLE_INDEX ? PLACE_INDEX :
		container->label.role == ROLE_INSTANCE ? PLACE_INSTANCE : PLACE_RECOVERY;
}

bool
data_in_use(const Container *but)
{
	for (int i = 0; i < CONTAINERS_MAX; i++)
	{
		const Container *container = &sim.world.containers[i];

		if (container->id && container != but && container->has_data &&
			container->state == SEEN_RUNNING)
			return true;
	}
	return false;
}

/* The lock lets only one server in, whoever started the others. */
void
data_begun(Container *container)
{
	if (!container->has_data)
		return;
	chain_rules_begun(container);
	container->locked_out = sim.world.server != 0;
	/* mended in the end */
	container->frail = container->label.role == ROLE_INSTANCE && container->ours && !sim.kind &&
		(container->frail || fault(150));
	if (container->locked_out)
		return;
	sim.world.server = sim.world.last_server = container->id;
	container->begun_by = sim.world.program.id;
	sim.world.haf_live = false;
}

void
data_ended(Container *container)
{
	if (sim.world.server != container->id)
		return;
	note("the server ends with container %d", container->id);
	sim.world.server = 0;
	worker_crash();
}

/* Only a program that ends by itself, and under the worker's eyes, tells that it
 * gave up what has never run. */
void
chain_forget_unstarted(void)
{
	Container  *gave_up = container_by_id(sim.world.program.gave_up);

	if (gave_up && gave_up->state == SEEN_CREATED)
		gave_up->given_up = false;
}

/* Nobody's call ended it: the daemon may bring it back. */
void
chain_exit(Container *container)
{
	container->restarting = container->policy != RESTART_NO && !container->stopped_by_hand &&
		sim.world.daemon_up;
	if (container->restarting)
		container->state = SEEN_RUNNING;
	else if (container->id == sim.world.program.id && container->exit_code != 0 &&
			 container->exit_code != HANDOFF_UNSTARTED)
		chain_forget_unstarted();
}

static void
bring_back(Container *container)
{
	container->restarting = container->stopped_by_hand = false;
	container->restarts++;
	docker_begin(container);
}

static void
start_by_call(Container *container)
{
	if (container->state == SEEN_RUNNING)
		return;
	container->stopped_by_hand = false;
	container->restarts = 0;
	docker_begin(container);
}

/* HAF's entrypoint ignores signals while no hived runs, a builder's too. */
void
chain_signal(Container *container, bool kill)
{
	bool		orderly = (container->hived || container->label.role == ROLE_HANDOFF) && chance(900);

	container->stopped_by_hand = true;
	if (container->label.role == ROLE_INDEX && !kill && !container->restarting && chance(400))
	{
		container->signalled = false;
		return;					/* it may be through before it is killed */
	}
	if (container->restarting)
	{
		container->restarting = false;
		container->state = SEEN_EXITED;
		return;
	}
	docker_exit(container, kill || !orderly ? 137 : container->hived ? 0 : 143);
}

/* Something happens in it by itself. */
bool
chain_process(Container *container)
{
	if (!container->has_data && container->label.role != ROLE_HANDOFF)
		return false;
	if (container->restarting)
		bring_back(container);
	else if (container->locked_out)
		docker_exit(container, 1);
	else if (container->label.role == ROLE_HANDOFF)
	{
		if (fault(100))
			docker_exit(container, 137);
	}
	else if (container->ours && container->label.role == ROLE_INDEX)
	{
		if (sim.kind ? chance(500) : chance(300))
			docker_exit(container, sim.kind || chance(600) ? 0 : (int) draw(3) + 1);
	}
	else if (container->frail ? chance(700) : fault(15))
		docker_exit(container, 1);
	else if (container->has_health)
		container->healthy = true;
	return true;
}

/* Somebody started another one by hand, and the daemon brings one of them back
 * again and again; NULL: nobody did. */
Container *
chain_rival(void)
{
	for (int i = 0; i < CONTAINERS_MAX && sim.meddled && sim.world.server; i++)
	{
		Container  *container = &sim.world.containers[i];

		if (container->id && container->has_data && container->id != sim.world.server &&
			container->state == SEEN_RUNNING)
			return container;
	}
	return NULL;
}

void
chain_time_passed(void)
{
	for (int i = 0; i < CONTAINERS_MAX; i++)
	{
		Container  *container = &sim.world.containers[i];

		if (!container->id || container->state != SEEN_RUNNING)
			continue;
		if (container->locked_out && sim.world.now > container->began + LOCKED_TIME)
			docker_exit(container, 1);
		else if (container->restarting && sim.world.now > container->began + LOCKED_TIME)
			bring_back(container);
	}
}

void
chain_daemon_return(void)
{
	for (int i = 0; i < CONTAINERS_MAX; i++)
	{
		Container  *container = &sim.world.containers[i];

		if (!container->id || container->state != SEEN_EXITED)
			continue;
		if (container->policy == RESTART_ALWAYS ||
			(container->policy == RESTART_UNLESS_STOPPED && !container->stopped_by_hand))
			bring_back(container);
	}
}

/* ---- The program: its record --------------------------------------------- */

void
program_made(Container *container, const Command *command)
{
	Program    *program = &sim.world.program;

	memset(program, 0, sizeof(*program));
	container->policy = RESTART_ALWAYS;
	container->command = *command;
	program->id = container->id;
	program->members[program->n_members++] = (Member) {.kind = KIND_FROM, .id = command->from};
	for (int i = 0; i < command->n_links; i++)
		program->members[program->n_members++] = (Member)
	{
		.kind = i == command->n_links - 1 ? KIND_HAF : KIND_INDEX,.id = command->links[i]
	};
	program->members[program->n_members++] = (Member) {.kind = KIND_RECOVERY, .id = command->recovery};
}

/* Its process begins (anew), and knows what is written down. */
void
program_begun(Container *container)
{
	Program    *program = &sim.world.program;

	if (!program->over && !fault(30))
		container->policy = RESTART_ALWAYS;
	program->doing = DOING_NOTHING;
	program->target = NULL;
	program->give_up_then = program->asked = false;
	program->until = 0;
	for (int i = 0; i < program->n_members; i++)
	{
		program->members[i].lives = 0;
		program->members[i].refused = false;
	}
}

bool
program_runs(void)
{
	const Container *own = container_by_id(sim.world.program.id);

	return own && own->state == SEEN_RUNNING;
}

bool
chain_member(const Container *container)
{
	const Program *program = &sim.world.program;

	for (int i = 0; i < program->n_members && !program->over; i++)
	{
		const Member *member = &program->members[i];

		if (member->id == container->id && member->kind != KIND_FROM && !member->done &&
			(member->kind == KIND_RECOVERY || !program->failed))
			return true;
	}
	return false;
}

static void
record(const char *word, int id)
{
	Program    *program = &sim.world.program;

	note("program: %s %d", word, id);
	program->failed |= strcmp(word, "failed") == 0;
	program->over |= strcmp(word, "over") == 0;
	for (int i = 0; i < program->n_members; i++)
	{
		Member	   *member = &program->members[i];

		if (member->id != id)
			continue;
		if (strcmp(word, "start") == 0)
		{
			member->starts++;
			member->stopped = false;
		}
		else if (strcmp(word, "stop") == 0)
			member->stopped = true;
		else if (strcmp(word, "done") == 0 && member->kind == KIND_INDEX)
			member->done = true;
	}
}

/* ---- The program: what it does ------------------------------------------- */

static void
nap(int64_t time)
{
	sim.world.program.until = sim.world.now + time;
}

static void
look(Member *member)
{
	member->seen = container_by_id(member->id);
	if (member->seen && member->seen->lives + 1 != member->lives)
	{
		member->lives = member->seen->lives + 1;
		member->since = sim.world.now;
	}
}

static bool
runs(const Member *member)
{
	return member->seen && member->seen->state == SEEN_RUNNING;
}

static int64_t
delay_after(int attempts)
{
	int64_t		delay = RETRY_DELAY;

	for (int i = 1; i < attempts && delay < MAX_DELAY; i++)
		delay *= 2;
	return delay < MAX_DELAY ? delay : MAX_DELAY;
}

static void
give_up(Member *member)
{
	Container  *container = container_by_id(member->id);

	if (member->kind == KIND_RECOVERY)
	{
		nap(delay_after(member->starts));
		return;
	}
	if (container && fault(30))
		return;
	if (container)
		container->policy = RESTART_NO;
	record("failed", member->id);
	sim.world.program.gave_up = member->id;
	sim.world.program.unstarted = container && (container->state == SEEN_CREATED || member->refused);
	/* one that ran under another program before, and could not be started under
	 * this one, does not show it */
	if (container && (container->state == SEEN_CREATED || container->begun_by == sim.world.program.id))
		container->given_up = true;
	if (sim.world.program.by_hand || sim.world.program.disturbed)
		chain_forget_unstarted();
}

void
chain_retried(int id)
{
	Container  *container = container_by_id(id);

	if (container)
		container->given_up = false;
}

static void
stop(Member *member)
{
	Program    *program = &sim.world.program;
	Container  *container = container_by_id(member->id);

	if (!container || fault(30))
		return;
	container->policy = RESTART_NO;
	record("stop", member->id);
	program->doing = DOING_STOP;
	program->target = member;
}

/* True when nothing but member has the data directory open; else one step towards that. */
static bool
alone(const Member *member)
{
	Program    *program = &sim.world.program;

	for (int i = 0; i < program->n_members; i++)
	{
		Member	   *other = &program->members[i];

		if (other->id == member->id)
			continue;
		look(other);
		if (!runs(other))
			continue;
		stop(other);
		return false;
	}
	return true;
}

static void
start(Member *member)
{
	Program    *program = &sim.world.program;
	Container  *container = container_by_id(member->id);

	if (!alone(member) || !container || fault(30))
		return;
	if (member->kind == KIND_HAF)
		container->policy = sim.world.policy;
	if (member->kind == KIND_RECOVERY)
		container->policy = RESTART_ALWAYS;
	record("start", member->id);
	program->doing = DOING_START;
	program->target = member;
}

static void
start_when_due(Member *member)
{
	bool		ran = member->seen->state == SEEN_EXITED;
	int64_t		due = member->since + delay_after(member->starts);

	if (member->starts == 0 || member->stopped)
		start(member);
	else if (member->starts >= MAX_ATTEMPTS && member->kind != KIND_RECOVERY)
		give_up(member);
	else if (ran && sim.world.now < due)
		sim.world.program.until = due;
	else
	{
		start(member);
		if (!ran)
			nap(LOST_START_TIME);
	}
}

static Member *
current(void)
{
	Program    *program = &sim.world.program;

	for (int i = 0; i < program->n_members && !program->failed; i++)
	{
		Member	   *member = &program->members[i];

		if ((member->kind == KIND_INDEX && !member->done) || member->kind == KIND_HAF)
			return member;
	}
	return &program->members[program->n_members - 1];
}

static void
attend_index(Member *member)
{
	if (runs(member))
	{
		if (member->starts == 0)
			record("start", member->id);
	}
	else if (member->seen->state == SEEN_EXITED && member->seen->exit_code == 0 && !member->stopped)
		record("done", member->id);
	else
		start_when_due(member);
}

static void
attend_server(Member *member)
{
	if (!runs(member))
		start_when_due(member);
	else if (member->stopped)
		stop(member);
	else if (member->kind == KIND_HAF && member->seen->restarts >= MAX_ATTEMPTS)
	{
		stop(member);
		if (sim.world.program.doing == DOING_STOP)
			sim.world.program.give_up_then = true;
		else
			give_up(member);
	}
	else if (member->starts > 0 && sim.world.now - member->since < STEADY_TIME)
		nap(LOOK_TIME);
	else
		record("over", member->id);
}

static void
one_round(void)
{
	Member	   *member = current();

	look(member);
	if (!member->seen)
		give_up(member);
	else if (member->kind == KIND_INDEX)
		attend_index(member);
	else
		attend_server(member);
}

/* The call that goes with what was written down. */
static void
carry_start(Program *program)
{
	Container  *container = container_by_id(program->target->id);

	program->doing = DOING_NOTHING;
	program->target->refused = true;
	if (!container || container->state == SEEN_RUNNING || fault(60))
		return;					/* refused, or lost on its way */
	program->target->refused = false;
	container->our_starts++;
	fate_of(&container->label)->our_starts++;
	chain_rules_started(container);
	start_by_call(container);
}

static void
carry_stop(Program *program)
{
	chain_rules_stopped(program->target);
	program->doing = DOING_AWAIT;
}

static void
await_end(Program *program)
{
	Member	   *member = program->target;
	Container  *container = container_by_id(member->id);

	if (container && container->state == SEEN_RUNNING)
	{
		if (!fault(700))
			chain_signal(container, false);
		else if (chance(100))
			program->doing = DOING_NOTHING;	/* the grace is over, or the answers are lost */
		return;
	}
	program->doing = DOING_NOTHING;
	if (program->give_up_then)
		give_up(member);
	program->give_up_then = false;
}

static void
leave(Container *own, int exit_code)
{
	if (!fault(100))
		own->policy = RESTART_NO;
	docker_exit(own, exit_code);
}

/* SIGUSR1 */
void
program_ask(void)
{
	sim.world.program.asked = true;
}

void
program_step(void)
{
	Program    *program = &sim.world.program;
	Container  *own = container_by_id(program->id);

	if (!own || own->state != SEEN_RUNNING || own->restarting || !sim.world.daemon_up)
		return;
	if (program->asked)
		leave(own, 143);
	else if (sim.world.now < program->until)
		return;
	else if (program->over)
	{
		own->policy = RESTART_NO;
		docker_exit(own, program->unstarted ? HANDOFF_UNSTARTED : 0);
	}
	else if (program->doing == DOING_START)
		carry_start(program);
	else if (program->doing == DOING_STOP)
		carry_stop(program);
	else if (program->doing == DOING_AWAIT)
		await_end(program);
	else
		one_round();
}

/* It waits for ever: what is to run at the last is gone. */
bool
chain_stuck(void)
{
	Member	   *member;

	if (!program_runs())
		return false;
	member = current();
	look(member);
	return member->kind == KIND_RECOVERY && !member->seen;
}

bool
chain_busy(void)
{
	Member	   *member;

	if (!sim.bundled || !program_runs())
		return false;
	if (sim.world.program.over || sim.world.program.asked || sim.world.program.doing != DOING_NOTHING)
		return true;
	if (chain_stuck())
		return false;
	member = current();
	look(member);
	return !(member->kind == KIND_INDEX && runs(member) && member->starts > 0);
}

/* By an operator, for good. */
void
program_end(void)
{
	Container  *own = container_by_id(sim.world.program.id);

	if (!program_runs())
		return;
	note("operator: docker stop of the hand-off program");
	own->policy = RESTART_NO;
	docker_signal(own, true);
}

/* ---- The database is down, and nobody brings it back --------------------- */

/*
 * As docs/bundled.md says: the program goes on where it was.  Where there is none,
 * or it is through, the server is started where it was last, but not a builder.
 */
void
chain_rescue(void)
{
	Container  *own = container_by_id(sim.world.program.id);
	Container  *last = container_by_id(sim.world.last_server);
	bool		stuck = chain_stuck();

	if (sim.world.daemon_up && stuck)
		program_end();
	if (!sim.world.daemon_up || data_in_use(NULL) || program_runs())
		return;
	if (own && own->our_starts > 0 && !sim.world.program.over && !stuck)
	{
		note("operator: docker start of the hand-off program");
		sim.world.program.by_hand = true;
		chain_forget_unstarted();
		start_by_call(own);
		return;
	}
	if (!last || (last->ours && last->label.role == ROLE_INDEX))
		last = container_by_id(sim.world.first);
	note("operator: docker start %d", last->id);
	start_by_call(last);
}
