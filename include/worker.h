/*
 * worker.h
 *		The background worker: one loop that observes, decides and acts.
 *
 * Rooms: worker.c is the process and its loop; observe.c keeps the connection
 * to the Engine and turns what it says into the view; act.c carries actions
 * out and takes in their outcomes; preflight.c checks images and networks
 * before the first container (rule 12); bundled.c knows the container that the
 * server itself runs in, and what is cloned from it.
 */
#ifndef HAFSTACK_WORKER_H
#define HAFSTACK_WORKER_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "catalog.h"
#include "clone.h"
#include "decide.h"
#include "engine.h"
#include "haf.h"

#define MAX_RECONNECT_MS	10000	/* between attempts to reach the Engine */
#define BUSY_PAUSE_US	INT64CONST(250000)	/* after a lock somebody else held */

typedef enum Link				/* to the Engine, in order */
{
	LINK_DOWN,
	LINK_CONNECTING,			/* versions are being exchanged */
	LINK_SUBSCRIBING,			/* to its events */
	LINK_LISTING,				/* what there is */
	LINK_UP
} Link;

typedef enum Reached			/* what the last event said of the Engine */
{
	NOTHING_SAID,
	REACHED,
	NOT_REACHED
} Reached;

/* An Engine call under way.  It names its step by key: steps move when the
 * catalog is loaded anew. */
typedef struct Call
{
	uint64		tag;			/* hash key */
	Action		action;
	char		app[NAMEDATALEN];
	int			role;
	int			ordinal;
	int			item;			/* of a preflight, -1 none */
	uint64		clock;			/* when it was sent */
} Call;

typedef struct Preflight Preflight;

typedef struct Worker
{
	MemoryContext round;		/* emptied each time around */
	Catalog    *catalog;
	HafView		haf;
	char		haf_told[NAMEDATALEN];	/* HAF's state, as the last event said */
	bool		haf_known;		/* it was looked at when this process began */

	Engine	   *engine;
	Link		link;
	bool		foreign_engine; /* not the one on record */
	char		engine_note[WORDS_MAX]; /* why it is not reachable */
	char		last_error[WORDS_MAX];
	TimestampTz last_error_at;
	Reached		told;
	TimestampTz next_connect;
	int			connect_failures;
	int64		heard_at;		/* last event, microseconds since 1970 */

	struct HTAB *calls;			/* by tag */
	uint64		next_tag;
	uint64		clock;			/* grows with whatever is sent or heard */
	uint64		connect_tag,	/* 0: not asked */
				events_tag,
				list_tag;
	uint64		list_clock;		/* when the list was asked for */

	Preflight  *preflight;		/* the batch under way, NULL none */

	/* bundled: the container that this process is in */
	char	   *self;			/* the Engine's account of it, JSON; NULL unknown */
	EngineContainer self_seen;
	bool		self_hived;		/* the operator's command runs hived in it */
	char		self_note[WORDS_MAX];	/* why it is unknown */
	uint64		self_tag,
				watch_tag;
	TimestampTz next_self;
	bool		ending;			/* the server was asked to shut down */

	TimestampTz next_look;		/* at HAF */
	TimestampTz next_resync;
	TimestampTz next_decision;	/* decide() may answer otherwise from then on */
	uint64		requests_seen;
	bool		reload;			/* the catalog is no longer what is in memory */
} Worker;

/* worker.c */
extern bool worker_transaction(Worker *worker, CatalogWork work, void *arg);
extern char *server_text(const char *utf8); /* safe for this database's encoding */
extern bool worker_event(Worker *worker, const char *kind, const char *to, const char *detail);

/* observe.c */
extern void observe_connect(Worker *worker);	/* when down and due */
extern void observe_resync(Worker *worker);
extern bool observe_replies(Worker *worker);	/* take in all that has arrived; false: nothing */
extern void observe_disconnect(Worker *worker); /* give the connection up, for a new one */
extern void observe_lost(Worker *worker, const char *why);	/* it is lost */
extern void observe_tell(Worker *worker);	/* that it can be reached, or not */
extern void observe_engine_identity(Worker *worker);

/*
 * act.c: actions that are written in one transaction.  act_write() changes the
 * view at once, and may be called in that transaction only (for what only asks,
 * outside too); act_finish(), after it, sends the calls, or puts everything back.
 */
typedef struct Deeds Deeds;
extern Deeds *act_begin(Worker *worker);
extern bool act_write(Deeds *deeds, const Action *action);	/* false: what is wanted has changed */
extern void act_finish(Deeds *deeds, bool committed);
extern bool act_only_asks(ActionKind kind);
extern uint64 act_new_call(Worker *worker, const Action *action, int item);
extern void act_settle(Worker *worker, const Call *call, const EngineReply *reply);
extern Outcome outcome_of(const EngineReply *reply);

/* bundled.c */
extern void bundled_observe(Worker *worker);	/* ask for what is not known yet */
extern void bundled_on_self(Worker *worker, const EngineReply *reply);
extern void bundled_on_watch(Worker *worker, const EngineReply *reply);
extern Place bundled_place(const Worker *worker);
extern bool bundled_base(Worker *worker, const Step *step, SpecContext *context, Clone *clone);

/* preflight.c */
extern void preflight_begin(Worker *worker);	/* for all apps whose check is due */
extern void preflight_settle(Worker *worker, const Call *call, const EngineReply *reply);
extern void preflight_abandon(Worker *worker);

#endif							/* HAFSTACK_WORKER_H */
