/*
 * decide.h
 *		The rules: from one view of the world to the actions that are due.
 *
 * Room: pure.  No server header, no Docker, no clock, no allocation: decide()
 * reads a view and fills an array of actions.  The functions that move a step
 * from one state to the next live here as well, so that the simulator in test/
 * drives exactly what the worker runs.
 *
 * Words: a *step* is one container that has to be (app, role, ordinal); HAF
 * itself is apps[0].  A step's row is what is stored, `seen` what Docker said.
 * Times are microseconds of any one clock.
 */
#ifndef HAFSTACK_DECIDE_H
#define HAFSTACK_DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HAF_APP 0				/* apps[0] */
#define HANDOFF_UNSTARTED 3		/* exit code of hafstack_handoff: a link could not be started */

typedef enum Role
{
	ROLE_INDEX,
	ROLE_INSTANCE,
	ROLE_SETUP,
	ROLE_SYNC,
	ROLE_LIVE_SYNC,
	ROLE_API,
	ROLE_RECOVERY,				/* bundled: the server alone, when an index build failed */
	ROLE_HANDOFF				/* bundled: the program that starts and stops the chain */
} Role;
#define ROLES 8

typedef enum AppPhase
{
	APP_REGISTERED,
	APP_INDEX_BUILD,
	APP_INDEX_BUILT,
	APP_SETUP,
	APP_SETUP_DONE,
	APP_SYNC,
	APP_LIVE,
	APP_SERVING
} AppPhase;

typedef enum StackPhase
{
	STACK_IDLE,
	STACK_PREFLIGHT,
	STACK_INDEX_BUILD,
	STACK_HAF_SYNC,
	STACK_APP_SETUP,
	STACK_APP_SYNC,
	STACK_LIVE
} StackPhase;

typedef enum StepState
{
	STEP_WAITING,				/* no container; one will be made */
	STEP_CREATING,				/* the create call is on its way, or its answer was lost */
	STEP_CREATED,
	STEP_STARTING,				/* the same, for start */
	STEP_RUNNING,
	STEP_EXITED,				/* it ended, or could not be started */
	STEP_REMOVING,
	STEP_REMOVED				/* over: no container, and none will be made, unless it
								 * is wanted again */
} StepState;

/* What Docker last said of a step's container. */
typedef enum Seen
{
	SEEN_UNKNOWN,				/* not asked since something happened */
	SEEN_ABSENT,
	SEEN_STRANGER,				/* the name is taken by a container that is not ours */
	SEEN_CREATED,
	SEEN_RUNNING,
	SEEN_EXITED
} Seen;

typedef enum Answer				/* to "was this container ever started?" */
{
	ANSWER_UNKNOWN,
	ANSWER_NO,
	ANSWER_YES
} Answer;

typedef struct Step
{
	int			app;
	Role		role;
	int			ordinal;		/* from 1; a role's steps stand side by side */

	/* stored */
	StepState	state;
	int64_t		run;
	int			attempt;		/* containers made so far */
	int			failures;		/* since the last success, retry or reset */
	bool		done;
	bool		failed;
	bool		stopping;		/* we asked it to stop */
	bool		was_up;
	bool		has_exit;
	int			exit_code;
	bool		log_stored;
	int64_t		spec_version;	/* stack's + app's, at creation */
	int64_t		created_seq;	/* 0: never created */
	int64_t		started_at;		/* of the start call, then of the process; 0: no start sent */
	int64_t		finished_at;
	int64_t		retry_at;

	/* observed, and lost with the process */
	Seen		seen;
	int			seen_exit;		/* SEEN_EXITED: its code */
	int64_t		seen_started;	/* when its process began, as the Engine says; 0 unknown */
	int64_t		running_since;	/* seen running without a break; 0: it is not */
	bool		has_health;
	bool		healthy;
	bool		kill_seen;		/* somebody sent it a signal */
	bool		watched;		/* a signal would have been seen, since it began */
	bool		refused;		/* the Engine refused the start, or the name, for certain */
	Answer		ever_started;
	int64_t		quiet_until;	/* no call before then */
	const char *trouble;		/* in words: what the Engine refuses to do; NULL none */
	bool		busy;			/* a call is under way */
} Step;

typedef enum Check				/* preflight, of the present spec_version */
{
	CHECK_NONE,
	CHECK_RUNNING,
	CHECK_FAILED,
	CHECK_AGAIN					/* failed, and is running once more */
} Check;

typedef struct App
{
	const char *name;

	/* wanted */
	bool		held;
	bool		removing;
	int64_t		generation;
	int64_t		spec_version;
	int64_t		run;
	bool		counts_done[ROLES]; /* register_app(done => ...) */
	int			count[ROLES];	/* containers wanted */
	int		   *depends_on;
	int			n_depends_on;

	/* actual */
	AppPhase	phase;
	int64_t		current_run;
	bool		failed;
	const char *error;			/* in words; NULL none */
	int64_t		checked_version;

	/* observed */
	Check		check;
	int64_t		check_at;		/* no preflight before then */
	bool		caught_up;		/* every context is in sync, indexes too if waited for */
	bool		has_contexts;
	const char *sync_note;		/* in words; NULL or "" none */

	/* layout: its steps, and those of each role, in steps[] */
	int			first_step;
	int			n_steps;
	int			role_first[ROLES];
	int			role_steps[ROLES];	/* rows too many are at the end */

	/* derived by decide_prepare() */
	bool		held_with;		/* held, or depends on one that is */
	bool		aside;			/* out of every barrier: held, being removed or reset,
								 * or waiting for the setup of one that is */
} App;

/* bundled: which container is the server in, and the worker with it? */
typedef enum Place
{
	PLACE_UNKNOWN,
	PLACE_FIRST,				/* the operator's, the server alone */
	PLACE_HIVED,				/* the operator's, hived too */
	PLACE_INDEX,				/* a link of the chain */
	PLACE_INSTANCE,
	PLACE_RECOVERY
} Place;

typedef struct Stack
{
	/* wanted */
	bool		bundled;		/* the topology */
	bool		running;
	bool		paused;
	bool		force_stop;
	bool		restart_haf;	/* hived may be stopped for index builds */
	int64_t		generation;
	int64_t		spec_version;
	/* actual */
	StackPhase	phase;
	bool		failed;
	/* observed */
	bool		copied;			/* this database is a copy: look, do not touch */
	bool		engine_up;		/* connected, and listed since */
	Place		place;
	const char *place_note;		/* PLACE_UNKNOWN: why, in words */
	int64_t		place_since;	/* when that container was started; 0 unknown */
	bool		haf_live;		/* by the database alone */
	const char *haf_note;		/* why not, in words */
	const char *engine_note;
} Stack;

typedef struct Policy
{
	int			max_attempts;
	int64_t		retry_delay;
	int64_t		max_retry_delay;
} Policy;

typedef struct View
{
	int64_t		now;
	int64_t		next_seq;		/* for created_seq */
	Policy		policy;
	Stack		stack;
	App		   *apps;			/* HAF, then the apps by place */
	int			n_apps;
	Step	   *steps;
	int			n_steps;
} View;

typedef enum ActionKind
{
	/* facts to write */
	ACT_STACK_PHASE,
	ACT_APP_PHASE,
	ACT_APP_FAILED,				/* app->failed should be `to` */
	ACT_RENEW,					/* reset is through: forget the old run */
	ACT_FORGET,					/* the app's row goes */
	ACT_NOTE_CREATED,
	ACT_NOTE_VANISHED,			/* gone before it was ever started: make it anew */
	ACT_NOTE_STRANGER,			/* the name is taken */
	ACT_NOTE_RUNNING,
	ACT_NOTE_REFUSED,			/* could not be started */
	ACT_NOTE_EXIT,
	ACT_NOTE_LOST,				/* outcome unknown */
	ACT_NOTE_UP,
	ACT_NOTE_STEADY,			/* long enough up: failures are forgotten */
	ACT_NOTE_REMOVED,
	/* calls; the intent is written first */
	ACT_PREFLIGHT,
	ACT_LOOK,
	ACT_HISTORY,
	ACT_LOG,
	ACT_CREATE,
	ACT_START,
	ACT_STOP,
	ACT_KILL,
	ACT_REMOVE
} ActionKind;

typedef struct Action
{
	ActionKind	kind;
	int			app;			/* -1: the stack */
	int			step;			/* -1 none */
	int			to;				/* phase, or 0/1 for ACT_APP_FAILED */
} Action;

typedef enum Outcome			/* of a call */
{
	OUTCOME_OK,
	OUTCOME_ABSENT,
	OUTCOME_CONFLICT,
	OUTCOME_REFUSED,
	OUTCOME_UNREACHABLE,		/* for certain nothing was sent */
	OUTCOME_LOST				/* sent, no answer */
} Outcome;

/* What was observed of a step stays known when its row is read anew. */
extern void decide_keep_observed(Step *step, const Step *from);

/* Derive what decide() and explain() need; call after loading or changing a view. */
extern void decide_prepare(View *view);

/* Fill actions (room for 2 * n_steps + 4 * n_apps + 8) and return their number.
 * At most one action a step, one phase change an app. */
extern size_t decide(const View *view, Action *actions);

/* Apply an action's fact or intent to the view. */
extern void decide_intend(View *view, const Action *action);

/* Apply a call's outcome to the view.  For ACT_LOOK the observed fields of the
 * step have been set before. */
extern void decide_settle(View *view, const Action *action, Outcome outcome);

/* bundled: the steps, in order, that have to run over the data directory yet, HAF's
 * last; room for n_steps.  Returns their number. */
extern int	decide_chain(const View *view, int *chain);

#define NAMED_MAX 3				/* apps named in a sentence */

/* What explain() has to say to many apps alike, found once for all; -1: none. */
typedef struct Owners
{
	int			index;			/* whose index build it is now */
	int			setup;
	int			running_setup;	/* step of a setup that runs, or may */
	int			failed_link;	/* bundled: step of the chain that holds it */
	int			unchecked;		/* whose preflight holds the stack */
	int			ending;			/* stop(): the step that has to end next */
	int			culprit;		/* of those not set up, the first failed one, else the first */
	int			n_behind;		/* apps not set up, and the first of them */
	int			behind[NAMED_MAX];
} Owners;

extern Owners decide_owners(const View *view);

/* explain.c: what holds the stack (app < 0), HAF (HAF_APP) or an app where it
 * is, in words; empty when nothing does. */
extern void explain(const View *view, const Owners *owners, int app,
					char *words, size_t size);

/* The next moment at which decide() may answer otherwise though nothing is
 * heard; INT64_MAX: never. */
extern int64_t decide_next_time(const View *view);

extern bool decide_haf_live(const View *view);
extern bool app_renewing(const App *app);	/* reset, and not through yet */
extern bool app_checked(const View *view, const App *app);	/* preflight passed */
extern bool app_checking(const App *app);	/* it is running */
extern bool app_check_failed(const App *app);	/* as far as is known */
extern bool app_depends_set_up(const View *view, const App *app);
extern bool step_unwanted(const View *view, const Step *step);
extern bool step_is_up(const View *view, const Step *step);
extern bool step_active(const Step *step);	/* its process runs, or may */
extern bool step_is_chained(const View *view, const Step *step);	/* has the data directory */
extern bool decide_hived_here(const View *view);	/* bundled: in this container */
extern bool role_is_job(Role role);
extern bool action_is_call(ActionKind kind);

/* names, as in the catalog; -1 where there is none */
extern const char *const role_names[ROLES];
extern const char *const app_phase_names[];
extern const char *const stack_phase_names[];
extern const char *const step_state_names[];
extern int	role_by_name(const char *name);
extern int	app_phase_by_name(const char *name);
extern int	stack_phase_by_name(const char *name);
extern int	step_state_by_name(const char *name);

#endif							/* HAFSTACK_DECIDE_H */
