/*
 * handoff.c
 *		hafstack_handoff: takes one data directory through a chain of containers.
 *
 * Room: a program of its own, in a small container beside the chain.  It shares
 * engine.c, http.c and clone.c with the worker and knows nothing of PostgreSQL.
 * While it runs, nobody else of ours starts or stops a container that has the
 * data directory, and it starts one only when no other runs (rule 1).
 *
 * Level-triggered, as the worker: each round it looks at the Engine afresh and
 * does the one thing that is due.  What it is about to do is written down first,
 * and fsynced, in a file of its own layer; so it may be killed at any point, and
 * goes on when the daemon brings it back.  Its restart policy is `always`: one
 * of `unless-stopped` stays down when a daemon that was killed finds it running
 * still, for that daemon's stopping it counts as somebody's wish.  SIGUSR1 is the
 * worker's way to say that it shall stay down; it notes that too, and goes once
 * the policy is taken away.
 *
 *	 hafstack_handoff --host=unix:///var/run/docker.sock --name=haf-handoff
 *		 --recovery=ID [--from=ID] [options] index:ID... haf:ID
 *
 * Exit code 0: the chain is over, HAF or the recovery container runs.  3: the
 * recovery container, because another could not be started.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clone.h"
#include "decide.h"
#include "engine.h"
#include "http.h"
#include "spec.h"

#define MEMBERS_MAX		4096
#define LINE_BYTES		256
#define LOOK_MS			200		/* between two looks at what is ending */
#define RECONNECT_MS	1000
#define LOST_START_MS	2000	/* for a start whose answer was lost to show */
#define STEADY_MS		10000	/* HAF has to stay up so long */
#define RECOVERY_MS		1000	/* the recovery container, which there is nothing else to try after */
#define RESTARTS_MAX	5		/* by the daemon, whose pauses grow until they look steady */
#define EMPTY_MS		300		/* without a server, before the rest is killed */
#define EXIT_STOPPED	143
#define EXIT_USAGE		2

typedef enum Kind
{
	KIND_FROM,					/* where the chain begins */
	KIND_INDEX,					/* has to end by itself, with 0 */
	KIND_HAF,					/* has to stay up */
	KIND_RECOVERY				/* the same, when all else failed */
} Kind;

typedef struct Member
{
	Kind		kind;
	char		id[ENGINE_ID_MAX];
	/* from the record */
	int			starts;
	bool		stopped;		/* we asked it to stop, after its last start */
	bool		done;
	/* from the Engine */
	EngineContainer seen;
	bool		absent;
	int64_t		since;			/* it has been as it is, by our own clock */
	bool		news;			/* the last look found it so for the first time */
	int64_t		refused_at;		/* its last start was refused */
} Member;

typedef struct Handoff
{
	const char *host;
	const char *certs;
	const char *name;			/* of the container that this program runs in */
	const char *state;			/* the record's path */
	int			timeout_ms;
	int			attempts;
	long		delay_ms;
	long		max_delay_ms;
	const char *policy;			/* HAF's restart policy */
	int			retries;

	Member	   *members;		/* in order; the last two are HAF and recovery */
	int			n_members;
	int			record;
	bool		failed;			/* the chain has been given up */
	bool		over;
	bool		left;			/* it was asked to stay down */

	Engine	   *engine;
	uint64_t	tag;
	bool		lost;			/* the Engine went away during this round */
	bool		unstarted;		/* what failed could not be started */
	bool		leaving;		/* what was asked of us is being done */
} Handoff;

static volatile sig_atomic_t asked_to_stop = 0;

static void
on_signal(int signal)
{
	if (asked_to_stop != SIGUSR1)	/* which says more than the others */
		asked_to_stop = signal;
}

/* ---- words ---- */

static void say(const char *format,...) __attribute__((format(printf, 1, 2)));

static void
say(const char *format,...)
{
	char		when[32];
	time_t		now = time(NULL);
	struct tm	tm;
	va_list		arguments;

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", gmtime_r(&now, &tm));
	printf("%s ", when);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
}

static const char *
name_of(const Member *member)
{
	return member->seen.name[0] != '\0' ? member->seen.name : member->id;
}

/* ---- the record ---- */

static void
die(const char *what)
{
	say("%s: %s", what, strerror(errno));
	exit(1);
}

/* Where one container is two members (HAF handed over to itself), both know. */
static void
apply(Handoff *handoff, const char *word, const char *id)
{
	handoff->failed |= strcmp(word, "failed") == 0;
	handoff->over |= strcmp(word, "over") == 0;
	handoff->unstarted |= strcmp(word, "unstarted") == 0;
	if (strcmp(word, "leave") == 0 || strcmp(word, "return") == 0)
		handoff->left = word[0] == 'l';
	for (int i = 0; i < handoff->n_members; i++)
	{
		Member	   *member = &handoff->members[i];

		if (strcmp(member->id, id) != 0)
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

/* Write down what is about to be done, for good. */
static void
note(Handoff *handoff, const char *word, const char *id)
{
	char		line[LINE_BYTES];
	int			length = snprintf(line, sizeof(line), "%s %s\n", word, id);

	if (write(handoff->record, line, (size_t) length) != length || fsync(handoff->record) != 0)
		die("the record cannot be written");
	apply(handoff, word, id);
}

static void
make_directory(const char *path)
{
	char	   *copy = strdup(path);

	for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/'))
	{
		*slash = '\0';
		(void) mkdir(copy, 0700);
		*slash = '/';
	}
	free(copy);
}

/* A file that a crash of the machine takes away has been written for nothing. */
static void
sync_directory(const char *path)
{
	char	   *copy = strdup(path);
	int			fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd < 0 || fsync(fd) != 0)
		die(path);
	close(fd);
	free(copy);
}

/* Read what was done before; a line that a kill cut short was not written. */
static void
open_record(Handoff *handoff)
{
	FILE	   *file;
	char		line[LINE_BYTES];
	char		word[16];
	char		id[ENGINE_ID_MAX];
	long		whole = 0;

	make_directory(handoff->state);
	handoff->record = open(handoff->state, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	file = handoff->record < 0 ? NULL : fopen(handoff->state, "re");
	if (file == NULL)
		die(handoff->state);
	while (fgets(line, sizeof(line), file) != NULL && strchr(line, '\n') != NULL)
	{
		whole += (long) strlen(line);
		if (sscanf(line, "%15s %64s", word, id) == 2)
			apply(handoff, word, id);
	}
	fclose(file);
	if (ftruncate(handoff->record, whole) != 0 || fsync(handoff->record) != 0)
		die(handoff->state);
	sync_directory(handoff->state);
	if (whole > 0)
		say("going on from %s", handoff->state);
}

/* ---- asking the Engine ---- */

static void finish(Handoff *handoff);

/* Stay down: written first, so that one that is brought back stays so too. */
static void
leave_if_asked(Handoff *handoff)
{
	if (!asked_to_stop || handoff->leaving)
		return;
	handoff->leaving = true;
	say("asked to stop: nothing more is started or stopped");
	if (asked_to_stop == SIGUSR1)
	{
		note(handoff, "leave", handoff->members[0].id);
		finish(handoff);
	}
	exit(EXIT_STOPPED);
}

static void
nap(Handoff *handoff, long ms)
{
	(void) poll(NULL, 0, (int) ms);
	leave_if_asked(handoff);
}

/* Wait until something arrives, at most ms (-1: whatever it takes). */
static void
wait_engine(Handoff *handoff, long ms)
{
	struct pollfd fd = {.fd = engine_descriptor(handoff->engine), .events = POLLIN};
	long		due = engine_wait_ms(handoff->engine);

	if (due < 0 || (ms >= 0 && ms < due))
		due = ms;
	if (due < 0 || due > RECONNECT_MS)
		due = RECONNECT_MS;		/* a signal may come just before poll() */
	(void) poll(&fd, 1, (int) due);
	leave_if_asked(handoff);
	engine_run(handoff->engine);
}

/* The answer to the call just sent; never NULL.  Free it. */
static EngineReply *
answer(Handoff *handoff, bool sent)
{
	EngineReply *reply;

	if (!sent)
	{
		errno = ENOMEM;
		die("asking the Engine");
	}
	for (;;)
	{
		engine_run(handoff->engine);
		while ((reply = engine_next(handoff->engine)) != NULL)
		{
			if (reply->tag == handoff->tag)
			{
				handoff->lost |= reply->outcome == ENGINE_UNREACHABLE || reply->outcome == ENGINE_LOST;
				return reply;
			}
			engine_reply_free(reply);	/* a stop that is no longer waited for */
		}
		wait_engine(handoff, -1);
	}
}

static EngineOutcome
outcome(Handoff *handoff, bool sent)
{
	EngineReply *reply = answer(handoff, sent);
	EngineOutcome outcome = reply->outcome;

	if (outcome == ENGINE_REFUSED)
		say("the Engine refused: %s", reply->error);
	engine_reply_free(reply);
	return outcome;
}

static EngineOutcome
set_own_policy(Handoff *handoff, const char *policy)
{
	if (handoff->name == NULL)
		return ENGINE_OK;
	return outcome(handoff, engine_update(handoff->engine, ++handoff->tag, handoff->name, policy, 0));
}

/* Connect, as often as it takes. */
static void
reconnect(Handoff *handoff)
{
	EngineConfig config = {handoff->host, handoff->certs, 8, handoff->timeout_ms, NULL};
	char		error[ENGINE_ERROR_MAX];
	bool		told = false;

	for (;;)
	{
		EngineReply *reply;
		bool		good;

		engine_close(handoff->engine);
		handoff->engine = NULL;
		handoff->engine = engine_open(&config, error, sizeof(error));
		if (handoff->engine == NULL)
		{
			say("%s", error);
			exit(EXIT_USAGE);
		}
		reply = answer(handoff, engine_connect(handoff->engine, ++handoff->tag));
		good = reply->outcome == ENGINE_OK;
		if (!good && !told)
			say("Docker at %s does not answer: %s", handoff->host, reply->error);
		told = true;
		engine_reply_free(reply);
		if (good)
			break;
		nap(handoff, RECONNECT_MS);
	}
	handoff->lost = false;
}

/* The daemon brings back only what has a restart policy, so without one, whoever
 * started us again meant it. */
static bool
meant_to_return(Handoff *handoff)
{
	EngineReply *seen = NULL;
	bool		meant;

	if (handoff->name == NULL)
		return true;
	while (seen == NULL)
	{
		seen = answer(handoff, engine_inspect(handoff->engine, ++handoff->tag, handoff->name));
		if (!handoff->lost)
			break;
		engine_reply_free(seen);
		seen = NULL;
		reconnect(handoff);
	}
	meant = seen->outcome == ENGINE_OK && seen->count == 1 &&
		strcmp(seen->containers[0].restart_policy, "no") == 0;
	engine_reply_free(seen);
	return meant;
}

static void
take_in(Member *member, const EngineContainer *seen)
{
	member->news = seen->state != member->seen.state || seen->started_at != member->seen.started_at ||
		seen->finished_at != member->seen.finished_at;
	if (member->news)
		member->since = http_clock_ms();
	member->seen = *seen;
}

/* False when nothing is known of it now. */
static bool
look(Handoff *handoff, Member *member)
{
	EngineReply *reply = answer(handoff, engine_inspect(handoff->engine, ++handoff->tag, member->id));
	bool		known = reply->outcome == ENGINE_OK || reply->outcome == ENGINE_ABSENT;

	member->absent = reply->outcome == ENGINE_ABSENT;
	if (reply->outcome == ENGINE_OK)
		take_in(member, &reply->containers[0]);
	else if (reply->outcome == ENGINE_REFUSED || reply->outcome == ENGINE_CONFLICT)
		say("%s: %s", name_of(member), reply->error);
	engine_reply_free(reply);
	if (!known && !handoff->lost)
		nap(handoff, RECONNECT_MS);
	return known;
}

/* A state that is new to us may have the data directory open. */
static bool
runs(const Member *member)
{
	return !member->absent && member->seen.state != ENGINE_STATE_CREATED &&
		member->seen.state != ENGINE_STATE_EXITED;
}

/* ---- stopping ---- */

/* Is there anything left in it that a kill could harm? */
static bool
server_left(Handoff *handoff, const Member *member)
{
	EngineReply *reply = answer(handoff, engine_top(handoff->engine, ++handoff->tag, member->id));
	bool		left = reply->outcome != ENGINE_OK;
	char	   *rest = reply->text;

	for (char *line; !left && (line = strsep(&rest, "\n")) != NULL;)
		left = strcmp(line, "postgres") == 0 || strcmp(line, "hived") == 0;
	engine_reply_free(reply);
	return left;
}

/*
 * It was asked to stop.  HAF's entrypoint ignores that while no hived runs, but
 * the worker in it has its server shut down; what then remains is killed.  At
 * the end of the grace the Engine kills whatever there is.
 */
static void
await_end(Handoff *handoff, Member *member, int grace_s)
{
	int64_t		empty_since = 0;
	int64_t		deadline = http_clock_ms() + grace_s * INT64_C(1000) + handoff->timeout_ms;

	while (!handoff->lost && look(handoff, member) && runs(member) && http_clock_ms() < deadline)
	{
		if (server_left(handoff, member))
			empty_since = 0;
		else if (empty_since == 0)
			empty_since = http_clock_ms();
		else if (http_clock_ms() - empty_since >= EMPTY_MS)
		{
			say("%s: no server runs in it any more, ending the rest", name_of(member));
			(void) outcome(handoff, engine_kill(handoff->engine, ++handoff->tag, member->id, "SIGKILL"));
		}
		nap(handoff, LOOK_MS);
	}
}

/* One that the daemon brings back would be a second one some day. */
static bool
keep_down(Handoff *handoff, const Member *member)
{
	EngineOutcome result;

	if (member->absent || member->seen.restart_policy[0] == '\0' ||
		strcmp(member->seen.restart_policy, "no") == 0)
		return true;
	result = outcome(handoff, engine_update(handoff->engine, ++handoff->tag, member->id, "no", 0));
	return result == ENGINE_OK || result == ENGINE_ABSENT;
}

static void
stop(Handoff *handoff, Member *member)
{
	int			grace_s = member->seen.stop_timeout >= 0 ? member->seen.stop_timeout : SPEC_HAF_STOP_TIMEOUT_S;

	if (!keep_down(handoff, member))
	{
		if (!handoff->lost)
			nap(handoff, RECONNECT_MS);
		return;
	}
	note(handoff, "stop", member->id);
	say("stopping %s", name_of(member));
	if (!engine_stop(handoff->engine, ++handoff->tag, member->id, grace_s))
		die("asking the Engine");
	await_end(handoff, member, grace_s);
	if (!runs(member) && !handoff->lost)
		say("%s does not run any more", name_of(member));
}

/* True when nothing but member has the data directory open; else one step towards that. */
static bool
alone(Handoff *handoff, const Member *member)
{
	for (int i = 0; i < handoff->n_members; i++)
	{
		Member	   *other = &handoff->members[i];

		if (strcmp(other->id, member->id) == 0)
			continue;
		if (!look(handoff, other))
			return false;
		if (runs(other))
		{
			stop(handoff, other);
			return false;
		}
	}
	return true;
}

/* ---- starting ---- */

static long
delay_after(const Handoff *handoff, int attempts)
{
	long		delay = handoff->delay_ms;

	for (int i = 1; i < attempts && delay < handoff->max_delay_ms; i++)
		delay *= 2;
	return delay < handoff->max_delay_ms ? delay : handoff->max_delay_ms;
}

/* All that can be tried has been: the recovery container is next. */
static void
give_up(Handoff *handoff, Member *member, const char *why)
{
	/* its exit code, if any, is of an earlier attempt */
	bool		unstarted = member->seen.state == ENGINE_STATE_CREATED || member->refused_at > member->since;

	if (member->kind == KIND_RECOVERY)
	{
		say("%s: %s; trying again", name_of(member), why);
		nap(handoff, delay_after(handoff, member->starts));
		return;
	}
	if (!keep_down(handoff, member))
	{
		if (!handoff->lost)
			nap(handoff, RECONNECT_MS);
		return;
	}
	say("%s: %s; starting the recovery container", name_of(member), why);
	if (unstarted && !member->absent)
		note(handoff, "unstarted", member->id);
	note(handoff, "failed", member->id);
}

/* Its create call had room for one network alone.  One that is gone by now does
 * not keep the database down.  False: nothing is known of it now. */
static bool
join_networks(Handoff *handoff, Member *member)
{
	EngineReply *seen = answer(handoff, engine_describe(handoff->engine, ++handoff->tag, member->id));
	char	   *network;
	char	   *endpoint;

	for (int i = 0; seen->outcome == ENGINE_OK && !handoff->lost &&
		 clone_missing_network(seen->text, i, &network, &endpoint); i++)
	{
		EngineReply *reply = answer(handoff, engine_join(handoff->engine, ++handoff->tag, network,
														 member->id, endpoint));

		if (reply->outcome != ENGINE_OK)
			say("%s is not in network %s: %s", name_of(member), network, reply->error);
		engine_reply_free(reply);
		free(network);
		free(endpoint);
	}
	engine_reply_free(seen);
	return !handoff->lost;
}

static void
start(Handoff *handoff, Member *member)
{
	bool		stays = member->kind == KIND_HAF || member->kind == KIND_RECOVERY;
	const char *policy = member->kind == KIND_HAF ? handoff->policy : "always";
	int			retries = member->kind == KIND_HAF ? handoff->retries : 0;
	EngineReply *reply;

	if (!alone(handoff, member))
		return;
	if (stays && strcmp(member->seen.restart_policy, policy) != 0 &&
		outcome(handoff, engine_update(handoff->engine, ++handoff->tag, member->id, policy, retries)) != ENGINE_OK)
	{
		nap(handoff, RECONNECT_MS);
		return;
	}
	if (!join_networks(handoff, member))
		return;
	note(handoff, "start", member->id);
	if (member->kind == KIND_INDEX)
		say("starting %s, attempt %d of %d", name_of(member), member->starts, handoff->attempts);
	else
		say("starting %s", name_of(member));
	reply = answer(handoff, engine_start(handoff->engine, ++handoff->tag, member->id));
	if (reply->outcome != ENGINE_OK && !handoff->lost)
	{
		say("%s could not be started: %s", name_of(member), reply->error);
		member->refused_at = http_clock_ms();
	}
	engine_reply_free(reply);
}

/* It does not run: may it be started (again), and when? */
static void
start_when_due(Handoff *handoff, Member *member)
{
	bool		ran = member->seen.state == ENGINE_STATE_EXITED;
	int64_t		tried = member->refused_at > member->since ? member->refused_at : member->since;
	int64_t		due = tried + delay_after(handoff, member->starts);
	char		why[64];

	if (member->starts == 0 || member->stopped)
		start(handoff, member);
	else if (member->starts >= handoff->attempts && member->kind != KIND_RECOVERY)
	{
		snprintf(why, sizeof(why), "it %s, attempt %d of %d",
				 ran ? "has ended again" : "cannot be started", member->starts, handoff->attempts);
		give_up(handoff, member, why);
	}
	else if ((ran || member->refused_at != 0) && http_clock_ms() < due)
		nap(handoff, due - http_clock_ms() < RECONNECT_MS ? (long) (due - http_clock_ms()) : RECONNECT_MS);
	else
	{
		if (!ran)
		{
			/* refused, or on its way still: an answer that was lost */
			nap(handoff, LOST_START_MS);
			if (!look(handoff, member) || member->seen.state != ENGINE_STATE_CREATED)
				return;
		}
		start(handoff, member);
	}
}

/* ---- the chain ---- */

static Member *
current(Handoff *handoff)
{
	if (handoff->failed)
		return &handoff->members[handoff->n_members - 1];
	for (int i = 0; i < handoff->n_members; i++)
	{
		Member	   *member = &handoff->members[i];

		if ((member->kind == KIND_INDEX && !member->done) || member->kind == KIND_HAF)
			return member;
	}
	return NULL;
}

/* One that has to end: its exit code tells how it went. */
static void
attend_index(Handoff *handoff, Member *member)
{
	if (runs(member))
	{
		if (member->starts == 0)
			note(handoff, "start", member->id);
		if (outcome(handoff, engine_wait(handoff->engine, ++handoff->tag, member->id)) != ENGINE_OK &&
			!handoff->lost)
			nap(handoff, RECONNECT_MS);
	}
	else if (member->seen.state == ENGINE_STATE_EXITED && member->seen.exit_code == 0 && !member->stopped)
	{
		say("%s has ended with exit code 0", name_of(member));
		note(handoff, "done", member->id);
	}
	else
	{
		if (member->seen.state == ENGINE_STATE_EXITED && member->starts > 0 && member->news)
			say("%s has ended with exit code %d", name_of(member), member->seen.exit_code);
		start_when_due(handoff, member);
	}
}

/* One that has to stay. */
static void
attend_server(Handoff *handoff, Member *member)
{
	int			restarts = handoff->attempts < RESTARTS_MAX ? handoff->attempts : RESTARTS_MAX;
	int			steady = member->kind == KIND_HAF ? STEADY_MS : RECOVERY_MS;

	if (!runs(member))
		start_when_due(handoff, member);
	else if (member->stopped)
		stop(handoff, member);	/* killed while it stopped HAF itself: begun anew below */
	else if (member->kind == KIND_HAF && member->seen.restarts >= restarts)
	{
		stop(handoff, member);
		give_up(handoff, member, "it does not stay up");
	}
	else if (member->starts > 0 && http_clock_ms() - member->since < steady)
		nap(handoff, LOOK_MS);
	else
	{
		note(handoff, "over", member->id);
		say("%s runs: the chain is over", name_of(member));
	}
}

static void
one_round(Handoff *handoff)
{
	Member	   *member = current(handoff);

	if (!look(handoff, member))
		return;
	if (member->absent)
		give_up(handoff, member, "it is gone, somebody has removed it");
	else if (member->kind == KIND_INDEX)
		attend_index(handoff, member);
	else
		attend_server(handoff, member);
}

/* The daemon would start a program that has ended again, were it not told. */
static void
finish(Handoff *handoff)
{
	EngineOutcome result;

	do
	{
		if (handoff->lost)
			reconnect(handoff);
		result = set_own_policy(handoff, "no");
		if (result != ENGINE_OK && result != ENGINE_ABSENT)
			nap(handoff, RECONNECT_MS);
	} while (result != ENGINE_OK && result != ENGINE_ABSENT);
}

/* ---- the command line ---- */

static bool
add_member(Handoff *handoff, Kind kind, const char *id)
{
	Member	   *member = &handoff->members[handoff->n_members];

	if (handoff->n_members == MEMBERS_MAX || strlen(id) >= sizeof(member->id) || id[0] == '\0')
		return false;
	member->kind = kind;
	strcpy(member->id, id);
	handoff->n_members++;
	return true;
}

static bool
add_step(Handoff *handoff, const char *step)
{
	if (strncmp(step, "index:", 6) == 0)
		return add_member(handoff, KIND_INDEX, step + 6);
	return strncmp(step, "haf:", 4) == 0 && add_member(handoff, KIND_HAF, step + 4);
}

static bool
parse_options(Handoff *handoff, int argc, char **argv)
{
	static const struct option options[] = {
		{"host", required_argument, NULL, 'h'}, {"certs", required_argument, NULL, 'c'},
		{"name", required_argument, NULL, 'n'}, {"state", required_argument, NULL, 's'},
		{"timeout", required_argument, NULL, 't'}, {"attempts", required_argument, NULL, 'a'},
		{"delay", required_argument, NULL, 'd'}, {"max-delay", required_argument, NULL, 'm'},
		{"policy", required_argument, NULL, 'p'}, {"retries", required_argument, NULL, 'r'},
		{"from", required_argument, NULL, 'f'}, {"recovery", required_argument, NULL, 'y'},
		{NULL, 0, NULL, 0}
	};
	const char *recovery = NULL;
	int			option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		switch (option)
		{
			case 'h': handoff->host = optarg; break;
			case 'c': handoff->certs = optarg; break;
			case 'n': handoff->name = optarg; break;
			case 's': handoff->state = optarg; break;
			case 't': handoff->timeout_ms = atoi(optarg); break;
			case 'a': handoff->attempts = atoi(optarg); break;
			case 'd': handoff->delay_ms = atol(optarg); break;
			case 'm': handoff->max_delay_ms = atol(optarg); break;
			case 'p': handoff->policy = optarg; break;
			case 'r': handoff->retries = atoi(optarg); break;
			case 'y': recovery = optarg; break;
			case 'f':
				if (!add_member(handoff, KIND_FROM, optarg))
					return false;
				break;
			default:
				return false;
		}
	}
	for (int i = optind; i < argc; i++)
		if (!add_step(handoff, argv[i]))
			return false;
	return handoff->n_members > 0 && handoff->members[handoff->n_members - 1].kind == KIND_HAF &&
		recovery != NULL && add_member(handoff, KIND_RECOVERY, recovery);
}

int
main(int argc, char **argv)
{
	static Member members[MEMBERS_MAX];
	Handoff		handoff = {
		.host = "unix:///var/run/docker.sock", .certs = "", .state = "/var/lib/hafstack/handoff.state",
		.timeout_ms = 30000, .attempts = 3, .delay_ms = 10000, .max_delay_ms = 300000,
		.policy = "unless-stopped", .members = members
	};
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	if (!parse_options(&handoff, argc, argv))
	{
		fprintf(stderr, "usage: hafstack_handoff --recovery=ID [--from=ID] [--host=HOST] [--name=NAME] [options] index:ID... haf:ID\n");
		return EXIT_USAGE;
	}
	open_record(&handoff);
	reconnect(&handoff);
	if (handoff.left && meant_to_return(&handoff))
		note(&handoff, "return", handoff.members[0].id);
	/* it may have been taken away, when somebody starts us again by hand */
	if (!handoff.over && !handoff.left)
		(void) set_own_policy(&handoff, "always");
	while (!handoff.over && !handoff.left)
	{
		if (handoff.lost)
			reconnect(&handoff);
		one_round(&handoff);
	}
	finish(&handoff);
	engine_close(handoff.engine);
	return !handoff.over ? EXIT_STOPPED : handoff.unstarted ? HANDOFF_UNSTARTED : 0;
}
