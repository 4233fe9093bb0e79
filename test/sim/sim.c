/*
 * sim.c
 *		Random histories of a stack, each step followed by the rules of the design.
 *
 *		sim [--seed N] [--steps N] [--histories N] [--bundled N] [--trace]
 *
 * Of a thousand histories --bundled N are of the bundled topology.  A history has its own random numbers, drawn from the seed and its number, so
 * a failing one is run a second time, with a trace.  At its end the faults stop,
 * an operator helps, and everything has to come to its last phase.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define LINES		200			/* of the trace that are kept */
#define CHAOS_STEPS	3000
#define END_STEPS	20000
#define STILL_ROUNDS	1600

Sim			sim;

static jmp_buf failure;
static char lines[LINES][256];
static long n_lines;
static int	bundled_share = 333;
static char verdict[256];

/* ---- Random numbers, trace ----------------------------------------------- */

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint64_t
draw(uint64_t below)
{
	sim.random += UINT64_C(0x9e3779b97f4a7c15);
	return below ? mix(sim.random) % below : 0;
}

bool
chance(int per_mille)
{
	return draw(1000) < (uint64_t) per_mille;
}

bool
fault(int per_mille)
{
	return !sim.calm && chance(per_mille);
}

void
note(const char *format,...)
{
	va_list		args;
	char	   *line;
	int			at;

	if (!sim.recording)
		return;
	line = lines[n_lines++ % LINES];
	at = snprintf(line, sizeof(lines[0]), "%7ld %9.3f ", sim.steps,
				  (double) sim.world.now / SECOND);
	va_start(args, format);
	vsnprintf(line + at, sizeof(lines[0]) - (size_t) at, format, args);
	va_end(args);
	if (sim.trace)
		puts(line);
}

void
violated(int rule, const char *format,...)
{
	va_list		args;
	int			at = snprintf(verdict, sizeof(verdict), "rule %d: ", rule);

	va_start(args, format);
	vsnprintf(verdict + at, sizeof(verdict) - (size_t) at, format, args);
	va_end(args);
	longjmp(failure, 1);
}

const char *
label_text(const Label *label)
{
	static char texts[4][64];
	static int	next;
	char	   *text = texts[next++ % 4];

	snprintf(text, sizeof(texts[0]), "%d.%s.%d run %" PRId64 " attempt %d", label->uid,
			 role_names[label->role], label->ordinal, label->run, label->attempt);
	return text;
}

/* ---- A step -------------------------------------------------------------- */

static void
one_call(void)
{
	Call	   *chosen = NULL;
	uint64_t	n = 0;

	for (int i = 0; i < CALLS_MAX; i++)
		if (sim.world.calls[i].used && draw(++n) == 0)
			chosen = &sim.world.calls[i];
	/* what nobody listens to any more comes late */
	if (chosen && (chosen->listening || chance(200)))
		call_progress(chosen);
}

/* Daemon, network and process go, and come back. */
static void
troubles(void)
{
	switch (draw(7))
	{
		case 6:
			sim.world.place_hidden = sim.bundled;
			break;
		case 0:
			if (sim.world.daemon_up)
				daemon_down(chance(500));
			break;
		case 1:
			note("the network breaks");
			sim.world.network_up = false;
			worker_disconnect();
			break;
		case 2:
			note("the event stream breaks");
			worker_disconnect();
			break;
		default:
			worker_crash();
	}
}

static void
recover(void)
{
	if (!sim.world.daemon_up)
		daemon_return();
	sim.world.network_up = true;
	sim.world.place_hidden &= !sim.calm && chance(800);
	if (!sim.worker.alive || !sim.worker.connected)
		worker_connect();
}

static void
pass_time(void)
{
	static const int64_t spans[] = {MILLISECOND, 10 * MILLISECOND, 300 * MILLISECOND,
	SECOND, 12 * SECOND, 700 * SECOND};

	sim.world.now += spans[draw(chance(900) ? 4 : 6)] + (int64_t) draw(1000);
	if (chance(100))
	{
		int64_t		next = sim.worker.alive ? decide_next_time(&sim.worker.view) : INT64_MAX;

		if (next != INT64_MAX && next > sim.world.now)
			sim.world.now = next;
	}
	docker_time_passed();
}

static void
step(void)
{
	uint64_t	what = draw(1000);

	sim.steps++;
	sim.bundled_steps += sim.bundled;
	if (what < 350)
	{
		if (sim.worker.alive)
			worker_round();
	}
	else if (what < 600)
		one_call();
	else if (what < 700)
		world_step();
	else if (what < 800)
	{
		if (sim.worker.alive)
			worker_hear();
	}
	else if (what < 880)
		pass_time();
	else if (what < 910)
	{
		if (sim.worker.connected)
			worker_resync();
		else if (sim.bundled && sim.world.daemon_up)
			worker_connect();	/* the server has just begun, in another container */
	}
	else if (what < 930)
		recover();
	else if (sim.calm)
		operator_help();
	else if (what < 970)
		operator_call();
	else if (what < 976)
		troubles();
	else if (what < 990 && chance(sim.outsiders))
		outsider_act();
	else if (what >= 990 && sim.worker.alive)
		rules_words();
}

/* ---- The world stands still ---------------------------------------------- */

/* It runs, and only time tells whether it stays up. */
static bool
is_settling(const Step *step)
{
	return !role_is_job(step->role) && step->state == STEP_RUNNING && step->seen == SEEN_RUNNING &&
		!step->has_health && !step_is_up(&sim.worker.view, step);
}

static void
answer_everything(void)
{
	while (sim.world.n_news > 0)
		worker_hear();
	for (int i = 0; i < CALLS_MAX; i++)
		while (sim.world.calls[i].used)
			call_progress(&sim.world.calls[i]);
}

/* One round of a world in which Docker answers and nothing else happens; true
 * when there is nothing left to do. */
static bool
still_round(int round)
{
	bool		quiet = !chain_busy();
	size_t		n;

	sim.steps++;
	sim.bundled_steps += sim.bundled;
	if (sim.bundled)
		program_step();
	if (!sim.worker.connected)
		worker_connect();		/* it came with the server, in another container */
	if (!sim.worker.alive)
		return quiet;
	answer_everything();
	if (round % 50 == 0)
		worker_resync();
	n = worker_round();
	for (int i = 0; i < sim.worker.view.n_steps; i++)
		quiet &= sim.worker.steps[i].quiet_until <= sim.world.now && !is_settling(&sim.worker.steps[i]);
	return n == 0 && quiet && round % 50 != 0;
}

static void
let_time_pass(void)
{
	int64_t		until = chain_busy() ? sim.world.program.until : 0;

	sim.world.now += 100 * MILLISECOND;
	if (until > sim.world.now && chance(200))
		sim.world.now = until;
	docker_time_passed();
}

/* The rounds must come to an end. */
static void
stand_still(void)
{
	bool		calm = sim.calm;

	if (!sim.worker.alive || !sim.worker.connected || !sim.world.daemon_up || !sim.world.network_up)
		return;
	note("the world stands still");
	sim.calm = true;
	for (int i = 0; i < CALLS_MAX; i++)
		if (sim.world.calls[i].used && !sim.world.calls[i].listening)
			sim.world.calls[i].used = false;
	for (int round = 0; round < STILL_ROUNDS; round++)
	{
		bool		still = still_round(round);

		if (still && sim.worker.alive)
			rules_still();
		if (still || (sim.bundled && chain_rival()))
		{
			sim.calm = calm;
			return;
		}
		let_time_pass();
	}
	violated(11, "no end of actions while the world stands still");
}

/* ---- A history ----------------------------------------------------------- */

static void
begin(long history)
{
	bool		recording = sim.recording;

	sim.random = mix(sim.seed * UINT64_C(0x2545f4914f6cdd1d) + (uint64_t) history);
	sim.history = history;
	sim.bundled = chance(bundled_share);
	sim.calm = sim.kind = sim.meddled = false;
	sim.recording = recording;
	sim.outsiders = chance(700) ? 0 : 1000 >> draw(4);
	world_begin();
	rules_begin();
	worker_begin();
	if (sim.bundled)
		chain_begin();
	operator_begin();
	worker_connect();
}

static void
run_history(long history)
{
	long		from;

	begin(history);
	for (int i = 0; i < CHAOS_STEPS; i++)
	{
		step();
		if (chance(8))
			stand_still();
	}
	note("the calm begins");
	sim.calm = sim.kind = true;
	from = sim.steps;
	while (!rules_all_done())
	{
		step();
		if (chance(3))
			stand_still();
		if (sim.steps - from > END_STEPS)
			violated(11, "no end is reached");
	}
}

/* 0, or 1 where a rule was violated. */
static int
try_history(long history)
{
	int			result = setjmp(failure);

	if (result == 0)
		run_history(history);
	return result;
}

static long
number(const char *text)
{
	char	   *end;
	long		value = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0')
	{
		fprintf(stderr, "sim: not a number: %s\n", text);
		exit(2);
	}
	return value;
}

static void
report(long history)
{
	sim.recording = true;
	n_lines = 0;
	(void) try_history(history);
	if (!sim.trace)
		for (long i = n_lines > LINES ? n_lines - LINES : 0; i < n_lines; i++)
			puts(lines[i % LINES]);
	printf("%s\nseed %" PRIu64 " history %ld\n", verdict, sim.seed, history);
}

int
main(int argc, char **argv)
{
	long		steps = 1000000,
				histories = 0,
				first = 0,
				history;

	sim.seed = 1;
	for (int i = 1; i < argc; i++)
	{
		bool		more = i + 1 < argc;

		if (strcmp(argv[i], "--trace") == 0)
			sim.trace = sim.recording = true;
		else if (more && strcmp(argv[i], "--seed") == 0)
			sim.seed = (uint64_t) number(argv[++i]);
		else if (more && strcmp(argv[i], "--steps") == 0)
			steps = number(argv[++i]);
		else if (more && strcmp(argv[i], "--histories") == 0)
			histories = number(argv[++i]);
		else if (more && strcmp(argv[i], "--bundled") == 0)
			bundled_share = (int) number(argv[++i]);
		else if (more && strcmp(argv[i], "--history") == 0)
			first = number(argv[++i]);
		else
		{
			fprintf(stderr, "usage: sim [--seed N] [--steps N] [--histories N] [--history FIRST] [--bundled N] [--trace]\n");
			return 2;
		}
	}
	for (history = first; histories ? history < first + histories : sim.steps < steps; history++)
		if (try_history(history) != 0)
		{
			report(history);
			return 1;
		}
	printf("%ld steps, %ld of them bundled, in %ld histories with seed %" PRIu64 ": every rule held\n",
		   sim.steps, sim.bundled_steps, history - first, sim.seed);
	return 0;
}
