/*
 * explain_test.c
 *		What explain() says: the culprit, and the call that helps.
 */
#include <stdio.h>
#include <string.h>

#include "decide.h"

#define SECOND INT64_C(1000000)

enum
{
	HAF, ONE, TWO, N_APPS
};

/* one container a role: HAF's two, then index, setup, sync, live_sync, api */
static App apps[N_APPS];
static Step steps[12];
static int	two_depends_on[] = {ONE};
static View view;
static int	n_tests;
static int	n_failed;

static Step *
step_of(int app, Role role)
{
	return &steps[apps[app].role_first[role]];
}

static void
lay_out(int app, const char *name, const Role *roles, int n_roles)
{
	apps[app].name = name;
	apps[app].run = apps[app].current_run = 1;
	apps[app].spec_version = 1;
	apps[app].checked_version = 2;
	apps[app].has_contexts = app != HAF;
	apps[app].first_step = view.n_steps;
	apps[app].n_steps = n_roles;
	for (int i = 0; i < n_roles; i++)
	{
		Step	   *step = &steps[view.n_steps];

		apps[app].role_first[roles[i]] = view.n_steps++;
		apps[app].role_steps[roles[i]] = apps[app].count[roles[i]] = 1;
		*step = (Step) {.app = app,.role = roles[i],.ordinal = 1,.run = 1};
	}
}

/* A stack in this phase, with nothing done yet. */
static void
begin(StackPhase phase)
{
	static const Role of_haf[] = {ROLE_INSTANCE, ROLE_LIVE_SYNC};
	static const Role of_app[] = {ROLE_INDEX, ROLE_SETUP, ROLE_SYNC, ROLE_LIVE_SYNC, ROLE_API};

	memset(apps, 0, sizeof(apps));
	view = (View) {.now = 1000 * SECOND,.next_seq = 1,.policy = {3, 10 * SECOND, 300 * SECOND},
		.apps = apps,.n_apps = N_APPS,.steps = steps};
	lay_out(HAF, "haf", of_haf, 2);
	lay_out(ONE, "one", of_app, 5);
	lay_out(TWO, "it's", of_app, 5);
	apps[TWO].depends_on = two_depends_on;
	view.stack = (Stack) {.running = true,.spec_version = 1,.phase = phase,.engine_up = true};
}

static void
finish(int app, Role role)
{
	step_of(app, role)->done = true;
	step_of(app, role)->state = STEP_REMOVED;
}

/* HAF runs and is live, the apps have built their indexes. */
static void
live_haf(void)
{
	view.stack.haf_live = true;
	step_of(HAF, ROLE_INSTANCE)->state = STEP_RUNNING;
	step_of(HAF, ROLE_INSTANCE)->seen = SEEN_RUNNING;
	finish(HAF, ROLE_LIVE_SYNC);
	for (int app = ONE; app <= TWO; app++)
	{
		finish(app, ROLE_INDEX);
		apps[app].phase = APP_INDEX_BUILT;
	}
}

static void
fail(int app, Role role)
{
	apps[app].failed = view.stack.failed = true;
	apps[app].error = "exited with code 3";
	step_of(app, role)->state = STEP_EXITED;
	step_of(app, role)->failed = step_of(app, role)->has_exit = true;
	step_of(app, role)->failures = 3;
}

/* What is said of app (-1: the stack) has all of these in it. */
static void
says(int app, const char *first, const char *second)
{
	char		words[320];
	Owners		owners;
	bool		good;

	decide_prepare(&view);
	owners = decide_owners(&view);
	explain(&view, &owners, app, words, sizeof(words));
	good = strstr(words, first) && strstr(words, second) && (first[0] || !words[0]);
	n_tests++;
	n_failed += !good;
	printf("%sok %d - %s\n", good ? "" : "not ", n_tests, words[0] ? words : "(nothing)");
	if (!good)
		printf("# expected: %s ... %s\n", first, second);
}

static void
test_everything(void)
{
	begin(STACK_IDLE);
	view.stack.running = false;
	says(-1, "not started", "SELECT hafstack.start()");
	says(TWO, "not started", "SELECT hafstack.start()");
	view.stack.copied = true;
	says(ONE, "copied", "SELECT hafstack.start(take_over => true)");
	begin(STACK_HAF_SYNC);
	view.stack.engine_up = false;
	view.stack.engine_note = "connection refused";
	says(-1, "Docker does not answer: connection refused", "hafstack.docker_host");
	begin(STACK_HAF_SYNC);
	view.stack.paused = true;
	says(ONE, "paused", "SELECT hafstack.resume()");
	begin(STACK_APP_SETUP);
	view.stack.running = false;
	step_of(ONE, ROLE_SETUP)->state = STEP_RUNNING;
	step_of(ONE, ROLE_SETUP)->seen = SEEN_RUNNING;
	says(-1, "stopping: the setup of app one has to end", "SELECT hafstack.stop(force => true)");
}

static void
test_before_live(void)
{
	begin(STACK_PREFLIGHT);
	apps[ONE].checked_version = 0;
	apps[ONE].check = CHECK_FAILED;
	apps[ONE].error = "image \"x\" is missing";
	says(-1, "preflight of app one failed: image \"x\" is missing", "SELECT hafstack.retry('one')");
	apps[ONE].check = CHECK_AGAIN;
	says(-1, "preflight of app one failed: image \"x\" is missing", "SELECT hafstack.retry('one')");
	begin(STACK_INDEX_BUILD);
	apps[ONE].phase = APP_INDEX_BUILD;
	step_of(ONE, ROLE_INDEX)->state = STEP_RUNNING;
	says(ONE, "its index build", "is running");
	says(TWO, "index builds go one at a time: the index build of app one", "is running");
	fail(ONE, ROLE_INDEX);
	says(-1, "the index build of app one failed: exited with code 3", "SELECT hafstack.retry('one')");
	step_of(ONE, ROLE_INDEX)->state = STEP_WAITING;
	step_of(ONE, ROLE_INDEX)->failures = 0;
	says(ONE, "outcome unknown", "SELECT hafstack.skip('one')");
	begin(STACK_HAF_SYNC);
	view.stack.haf_note = "12 days behind";
	step_of(HAF, ROLE_INSTANCE)->state = STEP_RUNNING;
	step_of(HAF, ROLE_INSTANCE)->seen = SEEN_RUNNING;
	says(HAF, "12 days behind", "");
	says(-1, "HAF is not live: 12 days behind", "");
	says(TWO, "hive.register_index_dependency",
		 "SELECT hafstack.alter_app('it''s', done => '{index}')");
}

static void
test_setup(void)
{
	begin(STACK_APP_SETUP);
	live_haf();
	apps[ONE].phase = APP_SETUP;
	step_of(ONE, ROLE_SETUP)->state = STEP_RUNNING;
	says(ONE, "its setup", "is running");
	says(TWO, "setups go one at a time: the setup of app one", "is running");
	step_of(ONE, ROLE_SETUP)->state = STEP_WAITING;
	step_of(ONE, ROLE_SETUP)->attempt = 1;
	step_of(ONE, ROLE_SETUP)->retry_at = view.now + 8 * SECOND;
	says(ONE, "its setup: attempt 2 in 8 s", "");
	apps[TWO].n_depends_on = 1;
	says(TWO, "it depends on one", "not set up");
	fail(ONE, ROLE_SETUP);
	says(TWO, "it depends on one", "SELECT hafstack.retry('one')");
	apps[ONE].held = true;
	says(ONE, "held", "SELECT hafstack.release('one')");
	says(TWO, "held with one", "SELECT hafstack.release('one')");
	begin(STACK_APP_SETUP);
	live_haf();
	finish(TWO, ROLE_SETUP);
	apps[TWO].phase = APP_SETUP_DONE;
	fail(ONE, ROLE_SETUP);
	says(TWO, "missing: one (failed)", "SELECT hafstack.retry('one'), or hold it");
	begin(STACK_APP_SETUP);
	live_haf();
	finish(ONE, ROLE_SETUP);
	apps[ONE].phase = APP_SETUP_DONE;
	step_of(ONE, ROLE_SETUP)->seen = SEEN_RUNNING;	/* started again by somebody */
	says(TWO, "setups go one at a time: the setup of app one", "");
	fail(ONE, ROLE_SETUP);
	step_of(ONE, ROLE_SETUP)->trouble = "could not be removed: device busy";
	apps[ONE].removing = true;
	says(ONE, "to stop and remove first; its setup could not be removed: device busy", "");
	step_of(ONE, ROLE_SETUP)->trouble = NULL;
	says(ONE, "being removed, 1 container to stop and remove first", "");
}

static void
test_sync(void)
{
	begin(STACK_APP_SYNC);
	live_haf();
	finish(ONE, ROLE_SETUP);
	finish(TWO, ROLE_SETUP);
	apps[ONE].phase = APP_SYNC;
	apps[TWO].phase = APP_SERVING;
	step_of(ONE, ROLE_SYNC)->state = step_of(ONE, ROLE_LIVE_SYNC)->state = STEP_RUNNING;
	step_of(ONE, ROLE_SYNC)->seen = step_of(ONE, ROLE_LIVE_SYNC)->seen = SEEN_RUNNING;
	says(ONE, "its live-sync detector", "is running");
	apps[ONE].sync_note = "120034 blocks behind";
	says(ONE, "120034 blocks behind", "");
	says(-1, "one: 120034 blocks behind", "");
	*step_of(TWO, ROLE_SYNC) = *step_of(TWO, ROLE_API) = *step_of(ONE, ROLE_SYNC);
	says(TWO, "", "");
	apps[ONE].phase = APP_LIVE;
	step_of(ONE, ROLE_API)->state = STEP_RUNNING;
	step_of(ONE, ROLE_API)->seen = SEEN_RUNNING;
	step_of(ONE, ROLE_API)->has_health = true;
	says(ONE, "its API", "is not healthy yet");
	step_of(ONE, ROLE_API)->healthy = true;
	view.stack.phase = STACK_LIVE;
	says(ONE, "", "");
	says(-1, "", "");
	step_of(ONE, ROLE_API)->state = STEP_REMOVING;
	step_of(ONE, ROLE_API)->seen = SEEN_EXITED;
	step_of(ONE, ROLE_API)->trouble = "could not be removed: device busy";
	says(ONE, "its API: its last container is being removed", "it could not be removed: device busy");
}

int
main(void)
{
	test_everything();
	test_before_live();
	test_setup();
	test_sync();
	printf("1..%d\n", n_tests);
	return n_failed > 0;
}
