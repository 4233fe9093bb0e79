/*
 * explain.c
 *		Why is nothing happening?  What holds the stack, HAF or an app, in words.
 *
 * Room: pure, as decide.c.  Reads the same view as decide() and follows the
 * order of its tables: what holds everything comes first, then what holds the
 * phase, then what holds the step.  Each sentence names the culprit and the
 * call that helps, where one does.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "decide.h"

#define SECOND		INT64_C(1000000)
#define NOTE_BYTES	180			/* of an error or a note that others wrote */

typedef struct Words
{
	char	   *text;
	size_t		size;
	size_t		used;
} Words;

/* The question: who asks, and what decide() knows. */
typedef struct Query
{
	const View *view;
	const Owners *owners;
	int			app;			/* -1: the stack */
	Words	   *words;
} Query;

/* ---- Words -------------------------------------------------------------- */

/* The length of text without a character that was cut off at its end. */
static size_t
whole_characters(const char *text, size_t length)
{
	size_t		start = length;
	unsigned char lead;
	size_t		need;

	while (start > 0 && ((unsigned char) text[start - 1] & 0xC0) == 0x80)
		start--;
	if (start == 0)
		return length;
	lead = (unsigned char) text[start - 1];
	need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
	return length - (start - 1) < need ? start - 1 : length;
}

static void add(Words *words, const char *format,...) __attribute__((format(printf, 2, 3)));

static void
add(Words *words, const char *format,...)
{
	va_list		args;
	int			length;
	size_t		room = words->size - words->used;

	va_start(args, format);
	length = vsnprintf(words->text + words->used, room, format, args);
	va_end(args);
	if (length < 0)
		words->text[words->used] = '\0';
	else if ((size_t) length < room)
		words->used += (size_t) length;
	else if (room > 0)
	{
		words->used = whole_characters(words->text, words->size - 1);
		words->text[words->used] = '\0';
		words->size = words->used + 1;	/* full: nothing fits after a cut */
	}
}

/* What others wrote, cut to a length that leaves room for what to do.  It is
 * cut in its middle: Docker puts the cause at the end. */
static void
add_note(Words *words, const char *note)
{
	size_t		length = strlen(note);
	const char *tail;

	if (length <= NOTE_BYTES)
	{
		add(words, "%s", note);
		return;
	}
	tail = note + length - NOTE_BYTES / 2;
	while (((unsigned char) *tail & 0xC0) == 0x80)
		tail++;
	add(words, "%.*s...%s", (int) whole_characters(note, NOTE_BYTES / 2), note, tail);
}

static bool
is_given(const char *note)
{
	return note != NULL && note[0] != '\0';
}

static void
add_literal(Words *words, const char *name)
{
	add(words, "'");
	for (const char *c = name; *c; c++)
		add(words, *c == '\'' ? "''" : "%c", *c);
	add(words, "'");
}

/* SELECT hafstack.retry('x'); HAF's is retry(NULL) */
static void
add_call(const Query *q, const char *function, int app)
{
	add(q->words, "SELECT hafstack.%s(", function);
	if (app == HAF_APP)
		add(q->words, "NULL");
	else
		add_literal(q->words, q->view->apps[app].name);
	add(q->words, ")");
}

static void
add_app(const Query *q, int app)
{
	if (app == HAF_APP)
		add(q->words, "HAF");
	else
		add(q->words, "app %s", q->view->apps[app].name);
}

/* "its setup", or "the setup of app x" where somebody else asks */
static void
add_role(const Query *q, int app, Role role)
{
	static const char *const nouns[ROLES] =
	{"index build", "instance", "setup", "sync", "live-sync detector", "API", "recovery container", "hand-off program"};

	if (q->app == app)
		add(q->words, "its %s", nouns[role]);
	else
	{
		add(q->words, "the %s of ", nouns[role]);
		add_app(q, app);
	}
}

/* ---- Steps -------------------------------------------------------------- */

static bool
is_through(const View *view, const Step *step)
{
	return step->done || (!role_is_job(step->role) && step_is_up(view, step));
}

/* The first of a role's containers that is not through; NULL none. */
static const Step *
first_open(const View *view, int app, Role role)
{
	const App  *it = &view->apps[app];

	if (it->counts_done[role])
		return NULL;
	for (int i = 0; i < it->count[role]; i++)
		if (!is_through(view, &view->steps[it->role_first[role] + i]))
			return &view->steps[it->role_first[role] + i];
	return NULL;
}

static void
say_trouble(const Query *q, const Step *step)
{
	if (!is_given(step->trouble))
		return;
	add(q->words, "; it ");
	add_note(q->words, step->trouble);
}

static void
say_failed(const Query *q, const Step *step)
{
	const App  *app = &q->view->apps[step->app];
	bool		job = role_is_job(step->role);

	add_role(q, step->app, step->role);
	if (job && step->failures < q->view->policy.max_attempts)
	{
		add(q->words, ": outcome unknown, its container is gone; ");
		add_call(q, "retry", step->app);
		add(q->words, " runs it again, ");
		add_call(q, "skip", step->app);
		add(q->words, " counts it as done");
		return;
	}
	add(q->words, " failed");
	if (is_given(app->error))
	{
		add(q->words, ": ");
		add_note(q->words, app->error);
	}
	else if (step->has_exit)
		add(q->words, " with exit code %d", step->exit_code);
	add(q->words, "; ");
	add_call(q, "retry", step->app);
	if (step->app != HAF_APP)
	{
		add(q->words, ", or skip or hold ");
		add(q->words, q->app == step->app ? "it" : "that app");
	}
}

/* Its preflight has not passed. */
static void
say_preflight(const Query *q, int app)
{
	const App  *it = &q->view->apps[app];

	add(q->words, "preflight of ");
	add_app(q, app);
	if (app_check_failed(it))
	{
		add(q->words, " failed: ");
		add_note(q->words, is_given(it->error) ? it->error : "see the server's log");
		add(q->words, "; it is tried again, at once with ");
		add_call(q, "retry", app);
	}
	else if (it->check_at > q->view->now)
		add(q->words, ": next attempt in %d s",
			(int) ((it->check_at - q->view->now + SECOND - 1) / SECOND));
	else
		add(q->words, " is running");
}

static void
say_state(const Query *q, const Step *step)
{
	bool		job = role_is_job(step->role);

	add_role(q, step->app, step->role);
	if (q->view->apps[step->app].count[step->role] > 1)
		add(q->words, " (%d of %d)", step->ordinal,
			q->view->apps[step->app].count[step->role]);
	switch (step->state)
	{
		case STEP_WAITING:
		case STEP_REMOVED:
		case STEP_CREATING:
			add(q->words, " is being created");
			break;
		case STEP_CREATED:
		case STEP_STARTING:
			add(q->words, " is being started");
			break;
		case STEP_RUNNING:
			add(q->words, job ? " is running" :
				step->seen != SEEN_RUNNING ? " is being looked at" :
				step->has_health ? " is not healthy yet" : " is not up yet");
			break;
		case STEP_EXITED:
			add(q->words, " ended");
			if (step->has_exit)
				add(q->words, " with exit code %d", step->exit_code);
			add(q->words, " and is made anew");
			break;
		case STEP_REMOVING:
			add(q->words, ": its last container is being removed");
			break;
	}
	say_trouble(q, step);
}

/* A service that failed is tried for ever: the error stays, whatever the attempt
 * has come to by now. */
static void
say_failing(const Query *q, const Step *step, bool waits)
{
	const App  *app = &q->view->apps[step->app];

	add_role(q, step->app, step->role);
	add(q->words, " failed: ");
	if (is_given(app->error))
		add_note(q->words, app->error);
	else
		add(q->words, "exit code %d", step->exit_code);
	add(q->words, "; ");
	if (!waits || step->retry_at <= q->view->now)
	{
		add(q->words, "attempt %d is under way", step->attempt);
		return;
	}
	add(q->words, "attempt %d in %d s, at once with ", step->attempt + 1,
		(int) ((step->retry_at - q->view->now + SECOND - 1) / SECOND));
	add_call(q, "retry", step->app);
}

static void
say_step(const Query *q, const Step *step)
{
	const View *view = q->view;
	bool		none = step->state == STEP_WAITING || step->state == STEP_REMOVED ||
		step->state == STEP_EXITED;

	if (step->failed && (role_is_job(step->role) || step_is_chained(view, step)))
		say_failed(q, step);
	else if (none && !app_checked(view, &view->apps[step->app]))
		say_preflight(q, step->app);
	else if (step->failed)
		say_failing(q, step, none);
	else if (none && step->retry_at > view->now)
	{
		add_role(q, step->app, step->role);
		if (step->has_exit)
			add(q->words, " ended with exit code %d", step->exit_code);
		add(q->words, ": attempt %d in %d s", step->attempt + 1,
			(int) ((step->retry_at - view->now + SECOND - 1) / SECOND));
	}
	else
		say_state(q, step);
}

/* ---- What holds everything ---------------------------------------------- */

static void
say_stopping(const Query *q)
{
	const Step *step = q->owners->ending < 0 ? NULL : &q->view->steps[q->owners->ending];

	add(q->words, "stopping");
	if (step == NULL)
		return;
	add(q->words, ": ");
	add_role(q, step->app, step->role);
	add(q->words, " has to end");
	if ((step->role == ROLE_INDEX || step->role == ROLE_SETUP) && !q->view->stack.force_stop)
		add(q->words, " by itself; SELECT hafstack.stop(force => true) kills it");
	say_trouble(q, step);
}

static bool
say_everything(const Query *q)
{
	const Stack *stack = &q->view->stack;

	if (stack->copied)
		add(q->words, "this database was copied, its containers may belong to the original: "
			"SELECT hafstack.start(take_over => true) makes this one act");
	else if (!stack->running && stack->phase == STACK_IDLE)
		add(q->words, "not started: SELECT hafstack.start()");
	else if (!stack->engine_up)
	{
		add(q->words, "Docker does not answer");
		if (is_given(stack->engine_note))
		{
			add(q->words, ": ");
			add_note(q->words, stack->engine_note);
		}
		add(q->words, "; see hafstack.docker_host");
	}
	else if (stack->paused)
		add(q->words, "paused: SELECT hafstack.resume()");
	else if (!stack->running)
		say_stopping(q);
	else
		return false;
	return true;
}

/* ---- HAF ---------------------------------------------------------------- */

static void
say_haf_not_live(const Query *q)
{
	const View *view = q->view;
	const Step *instance = first_open(view, HAF_APP, ROLE_INSTANCE);
	const Step *detector = first_open(view, HAF_APP, ROLE_LIVE_SYNC);

	if (q->app != HAF_APP)
		add(q->words, "HAF is not live: ");
	if (instance && view->stack.phase >= STACK_HAF_SYNC)
		say_step(q, instance);
	else if (!view->stack.haf_live && is_given(view->stack.haf_note))
		add_note(q->words, view->stack.haf_note);
	else if (!view->stack.haf_live)
		add(q->words, "hived has not caught up");
	else if (detector)
		say_step(q, detector);
}

/* ---- What many wait for ------------------------------------------------- */

static void
list_behind(const Query *q)
{
	const Owners *owners = q->owners;

	for (int i = 0; i < owners->n_behind && i < NAMED_MAX; i++)
	{
		const App  *app = &q->view->apps[owners->behind[i]];

		add(q->words, "%s%s%s", i > 0 ? ", " : "", app->name, app->failed ? " (failed)" : "");
	}
	if (owners->n_behind > NAMED_MAX)
		add(q->words, " and %d more", owners->n_behind - NAMED_MAX);
}

static void
say_stack_preflight(const Query *q)
{
	if (q->owners->unchecked >= 0)
		say_preflight(q, q->owners->unchecked);
	else
		add(q->words, "the stack begins");
}

/* Whoever's turn it is to build indexes, and how that stands. */
static void
say_next_build(const Query *q)
{
	int			owner = q->owners->index;
	const Step *step = owner >= 0 ? first_open(q->view, owner, ROLE_INDEX) : NULL;

	if (step)
		say_step(q, step);
	else if (owner >= 0 && !app_checked(q->view, &q->view->apps[owner]))
		say_preflight(q, owner);
	else
		add(q->words, "the last index build has to end");
}

/*
 * bundled: what keeps the data directory from going on to the next container;
 * false: nothing does, or what does is said of the index build itself.
 */
static bool
say_chain(const Query *q)
{
	const Stack *stack = &q->view->stack;
	int			owner = q->owners->index;
	const Step *build = owner >= 0 ? first_open(q->view, owner, ROLE_INDEX) : NULL;
	const App  *haf = &q->view->apps[HAF_APP];
	const Step *handoff = &q->view->steps[haf->role_first[ROLE_HANDOFF]];

	if (stack->place == PLACE_UNKNOWN)
		add_note(q->words, is_given(stack->place_note) ? stack->place_note :
				 "the container that the server runs in is being looked up");
	else if (build && build->failed)
		return false;
	else if (q->owners->failed_link >= 0)
		say_step(q, &q->view->steps[q->owners->failed_link]);
	else if (build && decide_hived_here(q->view) && !stack->restart_haf)
		add(q->words, "hived runs in the container that the server is in: "
			"SELECT hafstack.start(restart_haf => true) stops it, builds the indexes, and starts it again");
	else if (build && build->state == STEP_RUNNING)
		return false;
	else if (handoff->failures > 0 || step_active(handoff))
		say_step(q, handoff);
	else
		add(q->words, "the containers of the chain are being made");
	return true;
}

/* What keeps the stack in its index builds. */
static void
say_index_owner(const Query *q)
{
	if (q->view->stack.bundled && say_chain(q))
		return;
	say_next_build(q);
}

/* ---- Apps, phase by phase ----------------------------------------------- */

/* Held, or set aside because of one it depends on. */
static bool
say_aside(const Query *q)
{
	const View *view = q->view;
	const App  *app = &view->apps[q->app];

	if (app->held)
	{
		add(q->words, "held: ");
		add_call(q, "release", q->app);
		return true;
	}
	for (int d = 0; app->aside && d < app->n_depends_on; d++)
	{
		int			at = app->depends_on[d];
		const App  *other = &view->apps[at];

		if (app->held_with ? !other->held_with : !other->aside)
			continue;
		add(q->words, app->held_with ? "held with %s" : "it depends on %s, which is set aside",
			other->name);
		if (other->held)
		{
			add(q->words, ": ");
			add_call(q, "release", at);
		}
		else if (other->removing || app_renewing(other))
			add(q->words, other->removing ? ": it is being removed" : ": it is being reset");
		return true;
	}
	return false;
}

static bool
say_leaving(const Query *q)
{
	const View *view = q->view;
	const App  *app = &view->apps[q->app];
	const Step *stuck = NULL;
	int			left = 0;

	if (!app->removing && !app_renewing(app))
		return false;
	for (int i = 0; i < app->n_steps; i++)
	{
		const Step *step = &view->steps[app->first_step + i];

		left += step->state != STEP_WAITING && step->state != STEP_REMOVED;
		if (stuck == NULL && is_given(step->trouble))
			stuck = step;
	}
	add(q->words, "being %s, %d container%s to stop and remove first",
		app->removing ? "removed" : "reset", left, left == 1 ? "" : "s");
	if (view->stack.paused)
		add(q->words, "; paused: SELECT hafstack.resume()");
	else if (!view->stack.engine_up && left > 0)
		add(q->words, "; Docker does not answer");
	else if (stuck)
	{
		add(q->words, "; ");
		add_role(q, stuck->app, stuck->role);
		add(q->words, " ");
		add_note(q->words, stuck->trouble);
	}
	return true;
}

static void
say_late_index(const Query *q)
{
	if (q->view->stack.bundled)
	{
		add(q->words, "hived has begun: SELECT hafstack.stop(), and when the stack is idle "
			"SELECT hafstack.start(restart_haf => true) stops hived, builds the indexes, and starts it again");
		return;
	}
	add(q->words, "hived has begun, index builds are over: register the index in setup with "
		"hive.register_index_dependency and SELECT hafstack.alter_app(");
	add_literal(q->words, q->view->apps[q->app].name);
	add(q->words, ", done => '{index}')");
}

static void
say_index(const Query *q)
{
	const View *view = q->view;
	const Step *step = first_open(view, q->app, ROLE_INDEX);

	if (view->stack.phase <= STACK_PREFLIGHT)
		say_stack_preflight(q);
	else if (step && step->failed)
		say_failed(q, step);
	else if (!app_checked(view, &view->apps[q->app]))
		say_preflight(q, q->app);
	else if (step && view->stack.phase > STACK_INDEX_BUILD)
		say_late_index(q);
	else if (step && q->owners->index >= 0 && q->owners->index != q->app)
	{
		add(q->words, "index builds go one at a time: ");
		say_index_owner(q);
	}
	else if (step)
		say_step(q, step);
}

/* A dependency that is not set up; false: all are. */
static bool
say_dependency(const Query *q)
{
	const App  *app = &q->view->apps[q->app];

	if (app_depends_set_up(q->view, app))
		return false;
	for (int d = 0; d < app->n_depends_on; d++)
	{
		const App  *other = &q->view->apps[app->depends_on[d]];

		if (other->phase >= APP_SETUP_DONE && !app_renewing(other))
			continue;
		add(q->words, "it depends on %s, which %s", other->name,
			other->failed ? "failed" : "is not set up");
		if (other->failed)
		{
			add(q->words, ": ");
			add_call(q, "retry", app->depends_on[d]);
		}
		break;
	}
	return true;
}

static void
say_setup(const Query *q)
{
	const View *view = q->view;
	const Step *step = first_open(view, q->app, ROLE_SETUP);
	int			owner = q->owners->setup;
	const Step *running = q->owners->running_setup >= 0 ? &view->steps[q->owners->running_setup] :
		owner >= 0 ? first_open(view, owner, ROLE_SETUP) : NULL;

	if (step && step->failed)
		say_failed(q, step);
	else if (view->stack.phase <= STACK_PREFLIGHT)
		say_stack_preflight(q);
	else if (view->stack.phase == STACK_INDEX_BUILD)
		say_index_owner(q);
	else if (step && step->state == STEP_RUNNING)
		say_state(q, step);
	else if (!decide_haf_live(view))
		say_haf_not_live(q);
	else if (say_dependency(q) || !step)
		return;
	else if (owner != q->app && running)
	{
		add(q->words, "setups go one at a time: ");
		say_step(q, running);
	}
	else
		say_step(q, step);
}

static void
say_sync_barrier(const Query *q)
{
	int			culprit = q->owners->culprit;

	if (q->view->stack.phase < STACK_APP_SETUP)
	{
		if (q->view->stack.phase <= STACK_PREFLIGHT)
			say_stack_preflight(q);
		else if (q->view->stack.phase == STACK_INDEX_BUILD)
			say_index_owner(q);
		else
			say_haf_not_live(q);
		return;
	}
	if (q->owners->n_behind == 0)
		return;
	add(q->words, "syncs start when every app is set up; missing: ");
	list_behind(q);
	if (culprit >= 0 && q->view->apps[culprit].failed)
	{
		add(q->words, "; ");
		add_call(q, "retry", culprit);
		add(q->words, ", or hold it");
	}
}

static void
say_sync(const Query *q)
{
	const View *view = q->view;
	const App  *app = &view->apps[q->app];
	const Step *sync = first_open(view, q->app, ROLE_SYNC);
	const Step *detector = first_open(view, q->app, ROLE_LIVE_SYNC);

	if (detector && detector->failed)
		say_failed(q, detector);
	else if (sync && view->stack.phase <= STACK_PREFLIGHT)
		say_stack_preflight(q);
	else if (sync && view->stack.phase == STACK_INDEX_BUILD)
		say_index_owner(q);
	else if (sync)
		say_step(q, sync);
	else if (detector && (detector->state != STEP_RUNNING || !is_given(app->sync_note)))
		say_step(q, detector);
	else if (!detector && !decide_haf_live(view))
		say_haf_not_live(q);
	else if (is_given(app->sync_note))
		add_note(q->words, app->sync_note);
	else if (app->has_contexts && !app->caught_up)
		add(q->words, "its contexts are behind");
}

/* A service that was up and is not now. */
static void
say_services(const Query *q)
{
	static const Role services[] = {ROLE_SYNC, ROLE_API};
	const View *view = q->view;

	for (int r = 0; r < 2; r++)
	{
		const Step *step = first_open(view, q->app, services[r]);

		if (!step)
			continue;
		if (view->stack.phase <= STACK_PREFLIGHT)
			say_stack_preflight(q);
		else if (view->stack.phase == STACK_INDEX_BUILD)
			say_index_owner(q);
		else
			say_step(q, step);
		return;
	}
}

static void
explain_app(const Query *q)
{
	const App  *app = &q->view->apps[q->app];

	if (app_check_failed(app) && !app_checked(q->view, app))
	{
		say_preflight(q, q->app);
		return;
	}
	switch (app->phase)
	{
		case APP_REGISTERED:
		case APP_INDEX_BUILD:
			say_index(q);
			break;
		case APP_INDEX_BUILT:
		case APP_SETUP:
			say_setup(q);
			break;
		case APP_SETUP_DONE:
			say_sync_barrier(q);
			break;
		case APP_SYNC:
			say_sync(q);
			break;
		case APP_LIVE:
		case APP_SERVING:
			say_services(q);
			break;
	}
}

static void
explain_haf(const Query *q)
{
	const View *view = q->view;
	const App  *haf = &view->apps[HAF_APP];

	if (app_check_failed(haf) && !app_checked(view, haf))
		say_preflight(q, HAF_APP);
	else if (view->stack.phase <= STACK_PREFLIGHT)
		say_stack_preflight(q);
	else if (view->stack.phase == STACK_INDEX_BUILD)
		say_index_owner(q);
	else if (!decide_haf_live(view) || first_open(view, HAF_APP, ROLE_INSTANCE))
		say_haf_not_live(q);
}

/* ---- The stack ---------------------------------------------------------- */

static void
say_stack_setup(const Query *q)
{
	int			culprit = q->owners->culprit;
	int			owner = q->owners->setup;
	const Step *step = owner >= 0 ? first_open(q->view, owner, ROLE_SETUP) : NULL;
	Query		of = *q;

	if (culprit < 0)
		return;
	if (!q->view->apps[culprit].failed && step && decide_haf_live(q->view))
	{
		say_step(q, step);
		return;
	}
	add(q->words, "%s: ", q->view->apps[culprit].name);
	of.app = culprit;
	explain_app(&of);
}

static void
say_stack_sync(const Query *q)
{
	int			culprit = -1;
	int			behind = 0;
	Query		of = *q;

	for (int i = HAF_APP + 1; i < q->view->n_apps; i++)
	{
		const App  *app = &q->view->apps[i];

		if (app->aside || app->phase >= APP_LIVE)
			continue;
		if (culprit < 0 || (app->failed && !q->view->apps[culprit].failed))
			culprit = i;
		behind++;
	}
	if (culprit < 0)
		return;
	add(q->words, "%s: ", q->view->apps[culprit].name);
	of.app = culprit;
	explain_app(&of);
	if (behind > 1)
		add(q->words, "; and %d more app%s", behind - 1, behind == 2 ? "" : "s");
}

static void
explain_stack(const Query *q)
{
	switch (q->view->stack.phase)
	{
		case STACK_IDLE:
			add(q->words, "about to begin");
			break;
		case STACK_PREFLIGHT:
			say_stack_preflight(q);
			break;
		case STACK_INDEX_BUILD:
			say_index_owner(q);
			break;
		case STACK_HAF_SYNC:
			if (!decide_haf_live(q->view))
				say_haf_not_live(q);
			break;
		case STACK_APP_SETUP:
			say_stack_setup(q);
			break;
		case STACK_APP_SYNC:
			say_stack_sync(q);
			break;
		case STACK_LIVE:
			break;
	}
}

void
explain(const View *view, const Owners *owners, int app, char *words, size_t size)
{
	Words		out = {words, size, 0};
	Query		query = {view, owners, app, &out};

	if (size == 0)
		return;
	words[0] = '\0';
	if (app > HAF_APP && !view->stack.copied && say_leaving(&query))
		return;
	if (say_everything(&query))
		return;
	if (app < 0)
		explain_stack(&query);
	else if (app == HAF_APP)
		explain_haf(&query);
	else if (!say_aside(&query))
		explain_app(&query);
}
