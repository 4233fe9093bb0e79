/*
 * bundled.c
 *		The bundled topology in the worker: the container that the server itself
 *		runs in, and the links of the chain that are cloned from it.
 *
 * What is told here of the place goes into the view; which container is made
 * when, decide.c says.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "miscadmin.h"
#include "port.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "hafstack.h"
#include "worker.h"

#define HANDOFF_PROGRAM		"hafstack_handoff"
#define ASK_AGAIN_MS		5000
#define MOUNTINFO_BYTES		(1024 * 1024)
#define ARGUMENTS			16		/* of the program, steps aside */

/* ---- Where are we -------------------------------------------------------------- */

static bool
read_mountinfo(char *text, size_t size)
{
	int			fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	size_t		length = 0;
	ssize_t		n = 0;

	while (fd >= 0 && length < size - 1 && (n = read(fd, text + length, size - 1 - length)) > 0)
		length += n;
	if (fd >= 0)
		close(fd);
	text[length] = '\0';
	return fd >= 0 && n >= 0;
}

/* The id or name to ask the Engine for. */
static bool
find_self(Worker *worker, char *id, size_t size)
{
	char	   *text;

	if (hafstack_container[0] != '\0')
	{
		strlcpy(id, hafstack_container, size);
		return true;
	}
	text = palloc(MOUNTINFO_BYTES);
	if (read_mountinfo(text, MOUNTINFO_BYTES) && clone_find_self(text, id, size))
		return true;
	strlcpy(worker->self_note, "the container that the server runs in cannot be told from /proc/self/mountinfo:"
			" set hafstack.container to its name, or use topology external", sizeof(worker->self_note));
	return false;
}

void
bundled_observe(Worker *worker)
{
	TimestampTz now = GetCurrentTimestamp();
	char		id[ENGINE_NAME_MAX];

	if (!worker->catalog->view.stack.bundled || worker->link != LINK_UP ||
		worker->self_tag != 0 || now < worker->next_self)
		return;
	worker->next_self = TimestampTzPlusMilliseconds(now, ASK_AGAIN_MS);
	if (!find_self(worker, id, sizeof(id)))
		return;
	worker->self_tag = worker->next_tag++;
	if (!engine_describe(worker->engine, worker->self_tag, id))
		observe_lost(worker, "out of memory");
}

void
bundled_on_self(Worker *worker, const EngineReply *reply)
{
	if (reply->outcome != ENGINE_OK || reply->text == NULL)
	{
		worker->self_tag = 0;
		snprintf(worker->self_note, sizeof(worker->self_note),
				 "Docker does not know the container that the server runs in (%s): is hafstack.docker_host that of this host?",
				 server_text(reply->error));
		return;
	}
	if (worker->self)
		pfree(worker->self);
	worker->self = MemoryContextStrdup(TopMemoryContext, reply->text);
	worker->self_seen = reply->containers[0];
	worker->self_hived = clone_runs_hived(worker->self);
	worker->self_note[0] = '\0';
	worker->watch_tag = worker->next_tag++;
	if (!engine_watch(worker->engine, worker->watch_tag, worker->self_seen.id, worker->self_seen.started_at))
		observe_lost(worker, "out of memory");
}

Place
bundled_place(const Worker *worker)
{
	const EngineLabels *labels = &worker->self_seen.labels;
	bool		ours = labels->ours && worker->catalog->stack_id != NULL &&
		strcmp(labels->stack_id, worker->catalog->stack_id) == 0;

	if (worker->self == NULL || !worker->catalog->view.stack.bundled)
		return PLACE_UNKNOWN;
	switch (ours ? role_by_name(labels->role) : -1)
	{
		case ROLE_INDEX:
			return PLACE_INDEX;
		case ROLE_INSTANCE:
			return PLACE_INSTANCE;
		case ROLE_RECOVERY:
			return PLACE_RECOVERY;
		default:
			return worker->self_hived ? PLACE_HIVED : PLACE_FIRST;
	}
}

/* ---- Our turn is over ------------------------------------------------------------ */

/*
 * HAF's entrypoint stops the server when it runs hived; alone with the server
 * it ignores the signal, and at the end of the grace the server would be killed.
 */
static void
end_server(Worker *worker)
{
	if (worker->ending)
		return;
	worker->ending = true;
	ereport(LOG,
			(errmsg("hafstack: the container is being stopped; asking the server for a fast shutdown")));
	if (kill(PostmasterPid, SIGINT) != 0)
		ereport(LOG, (errmsg("hafstack could not signal the postmaster: %m")));
}

void
bundled_on_watch(Worker *worker, const EngineReply *reply)
{
	Place		place = bundled_place(worker);

	if (!reply->event)
	{
		if (reply->outcome != ENGINE_OK)
			worker->self_tag = worker->watch_tag = 0;	/* look and watch anew */
		return;
	}
	if (reply->action == ENGINE_ACTION_KILL &&
		(reply->signal == SIGINT || reply->signal == SIGTERM || reply->signal == SIGQUIT) &&
		strcmp(reply->containers[0].id, worker->self_seen.id) == 0 &&
		(place == PLACE_FIRST || place == PLACE_RECOVERY))
		end_server(worker);
}

/* ---- What follows us ---------------------------------------------------------------- */

static CloneKind
kind_of(Role role)
{
	return role == ROLE_INDEX ? CLONE_INDEX : role == ROLE_INSTANCE ? CLONE_HAF :
		role == ROLE_RECOVERY ? CLONE_RECOVERY : CLONE_HANDOFF;
}

static char *
program_path(void)
{
	char		path[MAXPGPATH];

	strlcpy(path, my_exec_path, sizeof(path));
	get_parent_directory(path);
	return psprintf("%s/%s", path, HANDOFF_PROGRAM);
}

/* The hand-off program's command: from here through the whole chain. */
static const char **
handoff_command(const Worker *worker)
{
	const Catalog *catalog = worker->catalog;
	const App  *haf = &catalog->view.apps[HAF_APP];
	const char **command = palloc(sizeof(char *) * (ARGUMENTS + catalog->view.n_steps));
	int		   *chain = palloc(sizeof(int) * Max(catalog->view.n_steps, 1));
	int			links = decide_chain(&catalog->view, chain);
	Clone		instance;
	int			n = 0;

	if (!clone_make(worker->self, CLONE_HAF, NULL, NULL, NULL, &instance))
		memset(&instance, 0, sizeof(instance));
	command[n++] = program_path();
	command[n++] = psprintf("--host=%s", hafstack_docker_host);
	command[n++] = psprintf("--certs=%s", hafstack_docker_cert_path);
	command[n++] = psprintf("--timeout=%d", hafstack_docker_timeout);
	command[n++] = psprintf("--name=%s-handoff", catalog->stack_name);
	command[n++] = psprintf("--attempts=%d", hafstack_max_attempts);
	command[n++] = psprintf("--delay=%d", hafstack_retry_delay);
	command[n++] = psprintf("--max-delay=%d", hafstack_max_retry_delay);
	command[n++] = psprintf("--policy=%s", instance.body ? instance.restart_policy : "unless-stopped");
	command[n++] = psprintf("--retries=%d", instance.restart_retries);
	command[n++] = psprintf("--from=%s", worker->self_seen.id);
	command[n++] = psprintf("--recovery=%s", catalog->step_info[haf->role_first[ROLE_RECOVERY]].id);
	for (int i = 0; i < links; i++)
		command[n++] = psprintf("%s:%s", catalog->view.steps[chain[i]].role == ROLE_INDEX ? "index" : "haf",
								catalog->step_info[chain[i]].id);
	command[n] = NULL;
	clone_free(&instance);
	return command;
}

/* What lies under the step's spec; clone keeps it.  False: it cannot be made. */
bool
bundled_base(Worker *worker, const Step *step, SpecContext *context, Clone *clone)
{
	CloneKind	kind = kind_of(step->role);
	const char **command = NULL;

	if (worker->self == NULL)
		return false;
	if (kind == CLONE_HANDOFF)
		command = handoff_command(worker);
	if (!clone_make(worker->self, kind, command, hafstack_docker_host, hafstack_docker_cert_path, clone))
		return false;
	context->base = clone->body;
	context->restart_policy = clone->restart_policy;
	context->restart_retries = clone->restart_retries;
	return true;
}
