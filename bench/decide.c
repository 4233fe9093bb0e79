/*
 * decide.c
 *		decide() and explain() alone, over views of 10 to 10,000 apps that have
 *		all five roles.
 *
 *	 decide		a line for each size: apps, then microseconds of one round
 *
 * serving: all is well, nothing is due.  setting up: half of the apps are set
 * up and wait for the others.  clearing: all jobs have ended and are to be
 * removed after their successors.  Each time is the least of several.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "decide.h"

#define SECOND INT64_C(1000000)

typedef enum Scene
{
	SERVING,
	SETTING_UP,
	CLEARING
} Scene;

static const Role roles[] = {ROLE_INDEX, ROLE_SETUP, ROLE_SYNC, ROLE_LIVE_SYNC, ROLE_API};

static void
set_step(View *view, Step *step, Scene scene)
{
	bool		job = role_is_job(step->role);
	bool		late = scene == SETTING_UP && step->app > view->n_apps / 2;

	step->attempt = step->ordinal = step->run = 1;
	step->spec_version = 2;
	step->log_stored = true;
	step->created_seq = view->next_seq++;
	step->done = job && step->has_exit;
	if (scene == SETTING_UP && (step->role > ROLE_SETUP || (late && step->role == ROLE_SETUP)))
	{
		step->state = STEP_WAITING;
		step->created_seq = 0;
	}
	else if (job)
	{
		step->done = step->has_exit = true;
		step->state = scene == CLEARING ? STEP_EXITED : STEP_REMOVED;
		step->seen = scene == CLEARING ? SEEN_EXITED : SEEN_UNKNOWN;
	}
	else
	{
		step->state = STEP_RUNNING;
		step->seen = SEEN_RUNNING;
		step->was_up = true;
		step->started_at = SECOND;
	}
}

static void
set_app(View *view, int at, Scene scene)
{
	App		   *app = &view->apps[at];
	bool		late = scene == SETTING_UP && at > view->n_apps / 2;

	app->name = "app";
	app->run = app->current_run = app->spec_version = 1;
	app->checked_version = 2;
	app->has_contexts = app->caught_up = true;
	app->phase = scene != SETTING_UP ? APP_SERVING : late ? APP_INDEX_BUILT : APP_SETUP_DONE;
	app->first_step = view->n_steps;
	for (int role = 0; role < ROLES; role++)
		app->role_first[role] = view->n_steps;
	for (int r = 0; r < 5; r++)
	{
		Step	   *step = &view->steps[view->n_steps];

		app->role_first[roles[r]] = view->n_steps++;
		app->role_steps[roles[r]] = app->count[roles[r]] = 1;
		step->app = at;
		step->role = roles[r];
		set_step(view, step, scene);
	}
	app->n_steps = view->n_steps - app->first_step;
}

static View *
make_view(int apps, Scene scene)
{
	View	   *view = calloc(1, sizeof(View));

	view->apps = calloc(apps + 1, sizeof(App));
	view->steps = calloc(apps * 5, sizeof(Step));
	view->n_apps = apps + 1;
	view->now = 100 * SECOND;
	view->next_seq = 1;
	view->policy = (Policy) {3, 10 * SECOND, 300 * SECOND};
	view->stack.running = view->stack.engine_up = view->stack.haf_live = true;
	view->stack.spec_version = 1;
	view->stack.phase = scene == SETTING_UP ? STACK_APP_SETUP : STACK_LIVE;
	view->apps[HAF_APP].name = "";
	view->apps[HAF_APP].run = view->apps[HAF_APP].current_run = 1;
	for (int i = 1; i <= apps; i++)
		set_app(view, i, scene);
	return view;
}

static double
microseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void
decide_round(View *view, Action *actions)
{
	decide_prepare(view);
	(void) decide(view, actions);
	(void) decide_next_time(view);
}

static void
explain_round(View *view, Action *actions)
{
	char		words[512];
	Owners		owners = decide_owners(view);

	(void) actions;
	for (int i = -1; i < view->n_apps; i++)
		explain(view, &owners, i, words, sizeof(words));
}

/* The least time of one round, tried for a fifth of a second or thrice. */
static double
least(View *view, Action *actions, void (*round) (View *, Action *))
{
	double		best = 1e18;
	double		begun = microseconds_now();

	for (int i = 0; i < 3 || microseconds_now() - begun < 200000; i++)
	{
		double		before = microseconds_now();
		double		took;

		round(view, actions);
		took = microseconds_now() - before;
		best = took < best ? took : best;
	}
	return best;
}

int
main(void)
{
	static const int sizes[] = {10, 100, 1000, 10000};

	for (int s = 0; s < 4; s++)
	{
		printf("%d", sizes[s]);
		for (Scene scene = SERVING; scene <= CLEARING; scene++)
		{
			View	   *view = make_view(sizes[s], scene);
			Action	   *actions = calloc(2 * view->n_steps + 4 * view->n_apps + 8, sizeof(Action));

			printf(" %.1f %.1f", least(view, actions, decide_round), least(view, actions, explain_round));
			free(actions);
			free(view->apps);
			free(view->steps);
			free(view);
		}
		printf("\n");
	}
	return 0;
}
