/*
 * sim.h
 *		The decide() simulator: what its parts share.
 *
 * world.c is Docker and HAF, chain.c what the bundled topology adds to it,
 * worker.c the worker's loop and its catalog, operator.c everybody who meddles,
 * rules.c and chain_rules.c the rules of the design, checked by code of its own,
 * and sim.c draws the histories.  extension/decide.c and explain.c are linked in
 * as they are.
 */
#ifndef HAFSTACK_SIM_H
#define HAFSTACK_SIM_H

#include "decide.h"

#define SECOND			INT64_C(1000000)
#define MILLISECOND		INT64_C(1000)

#define APPS_MAX		6		/* HAF and five more */
#define ORDINALS_MAX	2
#define MAX_ATTEMPTS	3
#define ROWS_MAX		(ROLES * ORDINALS_MAX)
#define STEPS_MAX		(APPS_MAX * ROWS_MAX)
#define CONTAINERS_MAX	256
#define CALLS_MAX		256
#define NEWS_MAX		64
#define FATES_MAX		1024
#define LINKS_MAX		(APPS_MAX * ORDINALS_MAX + 1)
#define IDS_MAX			8192

/* ---- Docker -------------------------------------------------------------- */

typedef struct Label
{
	int			uid;			/* the app's, never used twice */
	Role		role;
	int			ordinal;
	int64_t		run;
	int			attempt;
} Label;

typedef enum Restart			/* by the daemon */
{
	RESTART_NO,
	RESTART_UNLESS_STOPPED,
	RESTART_ALWAYS
} Restart;

/* What a hand-off program was told: ids of containers. */
typedef struct Command
{
	int			from;
	int			recovery;
	int			links[LINKS_MAX];	/* index builds, then HAF */
	int			n_links;
} Command;

typedef struct Container
{
	int			id;				/* 0: a free place */
	bool		ours;			/* bears our labels */
	Label		label;			/* its name too, without run and attempt */
	Seen		state;
	int			exit_code;
	int			our_starts;		/* processes that our calls began */
	bool		signalled;		/* since the process began */
	int64_t		began;			/* when it did */
	int64_t		process;		/* its number; 0 none yet */
	bool		has_health;
	bool		healthy;
	int			seq;			/* of creation */
	/* bundled */
	bool		has_data;		/* the data directory is mounted */
	bool		hived;			/* it runs hived too */
	bool		locked_out;		/* another server holds the lock: it will end */
	bool		frail;			/* HAF that will not stay up */
	bool		given_up;		/* by the program, and not retried since */
	int			begun_by;		/* the program of the time when its process began */
	Restart		policy;
	bool		stopped_by_hand;	/* by a call, so unless-stopped leaves it down */
	bool		restarting;		/* the daemon is about to bring it back; "running" */
	int			restarts;		/* by the daemon, since the last call */
	int			lives;			/* processes begun and ended */
	Command		command;		/* a hand-off program's */
} Container;

/* ---- The hand-off program ------------------------------------------------ */

typedef enum Kind
{
	KIND_FROM,
	KIND_INDEX,
	KIND_HAF,
	KIND_RECOVERY
} Kind;

typedef struct Member
{
	Kind		kind;
	int			id;
	/* from the record */
	int			starts;
	bool		stopped;
	bool		done;
	/* from the Engine, and lost with the process */
	const Container *seen;		/* NULL: it is gone */
	int			lives;			/* as last seen; 0 never */
	int64_t		since;
	bool		refused;		/* its last start */
} Member;

typedef enum Doing
{
	DOING_NOTHING,
	DOING_START,				/* it is written down, the call is next */
	DOING_STOP,
	DOING_AWAIT					/* the end of what was stopped */
} Doing;

typedef struct Program
{
	int			id;				/* of its container; 0: there is none */
	Member		members[LINKS_MAX + 2];
	int			n_members;
	/* from the record */
	bool		failed;
	bool		over;
	int			gave_up;		/* the id of what it failed with */
	bool		unstarted;		/* because that could not be started */
	/* lost with the process */
	Doing		doing;
	Member	   *target;
	bool		give_up_then;	/* when the target has stopped */
	int64_t		until;			/* it naps */
	bool		asked;			/* to leave, by SIGUSR1 */
	/* for the rules */
	bool		may_stop_hived;
	bool		by_hand;		/* an operator started it again */
	bool		disturbed;		/* its chain may not be the one that is wanted now */
} Program;

/* What became of a step in one run, by Docker's own account. */
typedef struct Fate
{
	Label		label;			/* attempt unused */
	int			our_starts;
	bool		succeeded;		/* a process exited 0 by itself */
	bool		skipped;
	bool		outsider;		/* somebody meddled, or it exits 0 when signalled */
	bool		unknown;		/* ran, and is gone before its exit code was stored */
	bool		retried;		/* by the operator, since then */
	int			failed_exits;	/* unasked, since the last retry */
	bool		was_up;			/* an API: healthy, where it has a health check */
	int			last_seq;		/* of its newest container */
} Fate;

typedef struct Call
{
	bool		used;
	bool		listening;		/* the worker still waits for the answer */
	bool		delivered;
	bool		lost;			/* will never reach Docker */
	ActionKind	kind;
	Label		label;
	int			id;
	int64_t		version;		/* ACT_PREFLIGHT: of what */
	Outcome		outcome;
	Seen		seen;
	int			exit_code;
	int64_t		process;
	bool		has_health;
	bool		healthy;
	int			found_id;
	Answer		ever_started;
	Command		command;		/* ACT_CREATE of a hand-off program */
} Call;

typedef struct News				/* on Docker's event stream */
{
	int			id;
	bool		kill;
} News;

typedef struct World
{
	int64_t		now;
	bool		daemon_up;
	bool		network_up;		/* between the worker and the daemon */
	int			daemon_life;
	int			next_id;
	int			next_seq;
	int64_t		processes;
	Container	containers[CONTAINERS_MAX];
	unsigned char started[IDS_MAX];	/* by id */
	unsigned char born[IDS_MAX];	/* life of the daemon in which it was made */
	Call		calls[CALLS_MAX];
	News		news[NEWS_MAX];
	int			n_news;
	Fate		fates[FATES_MAX];
	int			n_fates;
	bool		hived_connected;
	bool		haf_live;
	bool		caught_up[4096];	/* by uid */
	/* bundled */
	Program		program;
	int			first;			/* the operator's container */
	int			server;			/* the container that the server is in, 0 none */
	int			last_server;
	Restart		policy;			/* of the operator's container, and of HAF's */
	bool		place_hidden;	/* the worker cannot tell where it is */
} World;

/* ---- The catalog --------------------------------------------------------- */

typedef struct Row
{
	Step		step;
	int			id;				/* of the container; 0 none */
} Row;

typedef struct AppRow
{
	int			uid;
	App			app;
	int			depends_on[APPS_MAX];	/* uids */
	bool		retry;			/* requests not taken in yet */
	bool		skip;
	bool		bad_spec;		/* preflight cannot pass */
	Row			rows[ROWS_MAX];
	int			n_rows;
} AppRow;

typedef struct Catalog
{
	Stack		stack;
	int64_t		changes;		/* commits of SQL calls */
	AppRow		apps[APPS_MAX];	/* HAF, then by place */
	int			n_apps;
	int64_t		next_run;
	int			next_uid;
} Catalog;

/* ---- The worker ---------------------------------------------------------- */

typedef struct Worker
{
	bool		alive;
	bool		connected;
	int64_t		changes;		/* of the catalog, as loaded */
	Place		place;
	View		view;
	App			apps[APPS_MAX];
	int			uids[APPS_MAX];
	int			depends_on[APPS_MAX][APPS_MAX];
	Step		steps[STEPS_MAX];
	int			ids[STEPS_MAX];
	Action		actions[2 * STEPS_MAX + 4 * APPS_MAX + 8];
} Worker;

typedef struct Sim
{
	uint64_t	seed;
	uint64_t	random;
	long		history;
	long		steps;
	long		bundled_steps;
	bool		bundled;		/* the topology of this history */
	bool		calm;			/* no faults, nobody meddles */
	bool		kind;			/* jobs succeed, HAF and apps come live */
	int			outsiders;		/* per mille of their chances they take, in this history */
	bool		meddled;		/* they did something */
	bool		recording;		/* trace lines are kept */
	bool		trace;			/* and printed */
	World		world;
	Catalog		catalog;
	Worker		worker;
} Sim;

extern Sim	sim;

/* sim.c */
extern uint64_t draw(uint64_t below);
extern bool chance(int per_mille);
extern bool fault(int per_mille);	/* never in a calm */
extern void note(const char *format,...) __attribute__((format(printf, 1, 2)));
extern void violated(int rule, const char *format,...)
			__attribute__((format(printf, 2, 3), noreturn));
extern const char *label_text(const Label *label);

/* world.c */
extern void world_begin(void);
extern Container *container_by_id(int id);
extern Container *any_container(bool running);
extern Container *container_by_name(const Label *label);
extern Fate *fate_of(const Label *label);
extern void docker_exit(Container *container, int exit_code);
extern void docker_signal(Container *container, bool kill);
extern void docker_begin(Container *container);
extern void docker_tell(const Container *container, bool kill);
extern void docker_time_passed(void);
extern void docker_delete(Container *container);
extern Container *docker_create(const Label *label, bool ours);
extern Call *call_send(ActionKind kind, const Label *label, int id, int64_t version);
extern void call_progress(Call *call);
extern void calls_drop(bool by_daemon);
extern int	calls_pending(void);
extern void daemon_down(bool graceful);
extern void daemon_return(void);
extern void world_step(void);	/* something happens by itself */

/* chain.c */
extern void chain_begin(void);
extern Place chain_place(void);	/* where the server is, by Docker */
extern bool chain_member(const Container *container);	/* the program may look at it yet */
extern bool chain_stuck(void);
extern void chain_retried(int id);
extern void chain_forget_unstarted(void);
extern bool chain_busy(void);	/* the program does not just wait */
extern bool program_runs(void);
extern void program_made(Container *container, const Command *command);
extern void program_begun(Container *container);
extern void program_ask(void);
extern void program_end(void);
extern void program_step(void);
extern void data_begun(Container *container);
extern void data_ended(Container *container);
extern bool data_in_use(const Container *but);	/* by a container that runs */
extern void chain_exit(Container *container);	/* its process ends by itself */
extern void chain_signal(Container *container, bool kill);
extern bool chain_process(Container *container);	/* false: it is none of the chain */
extern void chain_time_passed(void);
extern Container *chain_rival(void);
extern void chain_daemon_return(void);
extern void chain_rescue(void);	/* an operator brings the database back */

/* worker.c */
extern void worker_begin(void);
extern void worker_load(bool afresh);
extern void worker_crash(void);
extern void worker_connect(void);
extern void worker_disconnect(void);
extern void worker_resync(void);
extern size_t worker_round(void);	/* returns the number of actions */
extern void worker_hear(void);	/* one event of the stream */
extern void worker_answer(Call *call);
extern AppRow *app_row(int uid);
extern Row *row_of(const Label *label);
extern void row_label(const AppRow *app, const Row *row, Label *label);

/* operator.c */
extern void operator_begin(void);
extern void operator_call(void);
extern void operator_help(void);	/* does what gets a stack to its end */
extern void outsider_act(void);

/* rules.c */
extern void rules_intent(const Action *action, const Step *before);
extern void rules_send(ActionKind kind, int id);
extern void rules_created(const Container *container);
extern void rules_started(const Container *container);
extern void rules_removed(const Container *container, const Row *row);
extern void rules_phase(const Action *action, int from);
extern void rules_preflight(int uid, int64_t version);
extern void rules_begin(void);
extern void rules_still(void);	/* at a fixpoint */
extern bool rules_all_done(void);
extern void rules_words(void);	/* explain() at any moment */
extern bool rules_aside(int app);

/* chain_rules.c */
extern void chain_rules_intent(const Action *action);
extern void chain_rules_begun(const Container *container);
extern void chain_rules_started(const Container *container);
extern void chain_rules_stopped(const Member *member);
extern void chain_rules_haf_sync(void);
extern void chain_rules_still(void);
extern bool chain_has_reason(void);
extern bool chain_all_done(void);

#endif							/* HAFSTACK_SIM_H */
