/*
 * test_handoff.c
 *		hafstack_handoff itself, as a process, and an Engine that misbehaves: what
 *		it must not do then.  The real chain is in test/t/040_bundled.t.
 */
#define _GNU_SOURCE
#include "peer.h"
#include "tap.h"
#include "pump.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
#define FROM DIGITS "a"
#define INDEX DIGITS "b"
#define HAF DIGITS "c"
#define RECOVERY DIGITS "d"

/* The containers' states, and what was asked; shared with the peer's processes. */
typedef struct Stage
{
	char		from[32];
	char		index[32];
	int			wait_status;	/* of the answer to /wait; 0: none comes */
	atomic_bool refuse_update;
	atomic_bool without_policy;	/* the program's own container */
	atomic_int	starts;
	atomic_int	stops;
	atomic_int	waits;
	atomic_int	updates;
	char		stop[256];		/* the last one's first line */
} Stage;

static Stage *stage;
static Peer peer;
static char record[] = "/tmp/hafstack-handoff.XXXXXX";
static const char *program;

static void
say_container(int fd, const char *asked)
{
	bool		own = strstr(asked, "/handoff/") != NULL;
	bool		from = strstr(asked, FROM) != NULL;
	char		body[512];

	snprintf(body, sizeof(body), "{\"Id\":\"%.64s\",\"Name\":\"/%s\",\"State\":{\"Status\":\"%s\"},\"Config\":{%s},"
			 "\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"%s\"}}}", own ? FROM : strstr(asked, DIGITS), own ? "handoff" : "c",
			 own ? "running" : from ? stage->from : strstr(asked, INDEX) != NULL ? stage->index : "created",
			 from ? "\"StopTimeout\":7" : "", own && !stage->without_policy ? "always" : "no");
	peer_answer(fd, 200, body);
}

static void
serve(int fd, PeerLog *log, const void *argument)
{
	(void) argument;
	while (peer_read(fd, log))
	{
		char		asked[256];

		snprintf(asked, sizeof(asked), "%.*s", (int) strcspn(log->last, "\r"), log->last);
		if (strncmp(asked, "GET /version ", 13) == 0)
			peer_answer(fd, 200, "{\"ApiVersion\":\"1.41\"}");
		else if (strstr(asked, "/info ") != NULL)
			peer_answer(fd, 200, "{\"ID\":\"E\"}");
		else if (strstr(asked, "/json ") != NULL)
			say_container(fd, asked);
		else if (strstr(asked, "/top?") != NULL)
			peer_answer(fd, 200, "{\"Processes\":[[\"1\",\"postgres\"]]}");
		else if (strstr(asked, "/wait ") != NULL)
		{
			atomic_fetch_add(&stage->waits, 1);
			if (stage->wait_status == 0)
				pause();
			peer_answer(fd, stage->wait_status, "{\"message\":\"no\"}");
		}
		else if (strstr(asked, "/update ") != NULL)
		{
			atomic_fetch_add(&stage->updates, 1);
			peer_answer(fd, stage->refuse_update ? 500 : 200, "{\"message\":\"not now\"}");
		}
		else
		{
			if (strstr(asked, "/stop") != NULL)
				strcpy(stage->stop, asked);
			atomic_fetch_add(strstr(asked, "/stop") != NULL ? &stage->stops : &stage->starts, 1);
			peer_answer(fd, 204, "");
		}
	}
}

static pid_t
run(void)
{
	char		host[200];
	char		state[100];
	pid_t		pid;

	snprintf(host, sizeof(host), "--host=%s", peer.host);
	snprintf(state, sizeof(state), "--state=%s", record);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
	{
		dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
		execl(program, program, host, state, "--name=handoff", "--timeout=5000", "--from=" FROM,
			  "--recovery=" RECOVERY, "index:" INDEX, "haf:" HAF, NULL);
		_exit(127);
	}
	return pid;
}

/* Let it run for so long, or until it ends: its exit code, -1 where it runs still. */
static int
watch(pid_t pid, long ms)
{
	int			status;

	for (long end = clock_ms() + ms; clock_ms() < end; poll(NULL, 0, 20))
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return -1;
}

static void
await(atomic_int *count, const char *name)
{
	for (long end = clock_ms() + 20000; *count == 0 && clock_ms() < end;)
		poll(NULL, 0, 20);
	ok(*count > 0, "%s", name);
}

static void
kill_it(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void
set_stage(const char *from, const char *index, int wait_status)
{
	memset(stage, 0, sizeof(*stage));
	strcpy(stage->from, from);
	strcpy(stage->index, index);
	stage->wait_status = wait_status;
	if (truncate(record, 0) != 0)
		abort();
}

/* A state that nobody has told us of may be one in which the data is open. */
static void
test_unknown_state(void)
{
	pid_t		pid;

	set_stage("thawing", "created", 200);
	pid = run();
	for (long end = clock_ms() + 20000; stage->stops + stage->starts == 0 && clock_ms() < end;)
		poll(NULL, 0, 20);
	ok(stage->stops == 1 && stage->starts == 0, "what is in a state unknown is stopped, and nothing is started beside it");
	has_text(stage->stop, "/stop?t=7 ", "in the time that it names itself");
	kill_it(pid);
}

static void
test_refused_wait(void)
{
	pid_t		pid;

	set_stage("exited", "running", 500);
	pid = run();
	await(&stage->waits, "it waits for an index build");
	is_int(watch(pid, 1500), -1, "goes on though that is refused");
	ok(stage->waits <= 4, "and takes its time: asked %d times", stage->waits);
	kill_it(pid);
}

/* Told to stay down, while the Engine takes no restart policy; then it is brought back. */
static void
test_leave(void)
{
	pid_t		pid;

	set_stage("exited", "running", 0);
	stage->refuse_update = true;
	pid = run();
	await(&stage->waits, "it waits again");
	kill(pid, SIGUSR1);
	is_int(watch(pid, 1500), -1, "told to stay down, it stays until its policy is gone");
	kill_it(pid);
	strcpy(stage->index, "created");
	stage->refuse_update = false;
	pid = run();
	is_int(watch(pid, 5000), 143, "brought back by the daemon, it goes down again");
	is_int(stage->starts, 0, "and starts nothing");
	kill_it(pid);
	stage->without_policy = true;
	pid = run();
	await(&stage->starts, "started by somebody, it goes on");
	kill_it(pid);
}

int
main(int argc, char **argv)
{
	char		path[500];
	int			fd = mkstemp(record);

	(void) argc;
	alarm(300);
	snprintf(path, sizeof(path), "%.*s/hafstack_handoff", (int) (strrchr(argv[0], '/') - argv[0]), argv[0]);
	program = path;
	stage = mmap(NULL, sizeof(Stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fd < 0 || stage == MAP_FAILED)
		abort();
	close(fd);
	peer = peer_start(serve, NULL, false);
	test_unknown_state();
	test_refused_wait();
	test_leave();
	peer_stop(&peer);
	unlink(record);
	return tap_end();
}
