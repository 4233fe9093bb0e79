/*
 * catalog.h
 *		hafstack's tables: rows in, rows out.
 *
 * Room: every statement on hafstack.stack, app, container and request that the
 * worker makes, and the one place where its transactions begin and end.  It
 * knows nothing of Docker or HAF.
 *
 * The worker is the only writer of what is actual, so the Catalog it holds in
 * memory is the truth until SQL functions change what is wanted; then it is
 * loaded anew, keeping what was observed.
 */
#ifndef HAFSTACK_CATALOG_H
#define HAFSTACK_CATALOG_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

#include "decide.h"
#include "hafstack.h"
#include "spec.h"

/* What the rules need not know of a step; side by side with View.steps. */
typedef struct StepInfo
{
	char		id[65];			/* Docker's, empty none */
	char	   *name;			/* NULL none */
	char	   *image;
	char	   *error;
	char		health[16];		/* empty none */
	char		stored_health[16];	/* as the row has it */
	bool		tty;
	bool		oom;
	uint64		touched;		/* order of what was heard or sent last */
} StepInfo;

/* What the rules need not know of an app; side by side with View.apps. */
typedef struct AppInfo
{
	char	  **contexts;
	int			n_contexts;
	bool		wait_for_indexes;
	char	   *preflight_error;	/* NULL none */
	int			check_failures;

	/* observed in HAF */
	int64		current_block;	/* of the context furthest behind, -1 none */
	int64		blocks_behind;	/* -1 unknown */
	TimestampTz rate_at;		/* when rate was last brought up to date; 0 never */
	int64		rate_block;
	double		rate;			/* blocks a second, < 0 unknown */
	char		note[WORDS_MAX];	/* what keeps it from being in sync */
} AppInfo;

typedef struct Catalog
{
	MemoryContext context;		/* all below */
	bool		exists;			/* there is a stack row */
	View		view;
	StepInfo   *step_info;
	AppInfo    *app_info;
	struct HTAB *by_name;		/* app name -> its place in view.apps */

	char	   *stack_id;
	char	   *stack_name;
	char	   *engine;			/* the Engine's ID on record; NULL none yet */
	bool		moved;			/* another database than the row was made in */
	bool		instance_ready_is_live; /* haf_live_when */
	bool		has_requests;
} Catalog;

/* ---- Transactions ---- */

typedef void (*CatalogWork) (void *arg);

/*
 * Run work(arg) in a transaction of its own, with SPI connected, a snapshot and
 * a time limit.  False when it failed: everything is rolled back, the error is
 * in catalog_last_error() and, unless it was a lock somebody holds for a moment,
 * in the server log.
 */
extern bool catalog_transaction(CatalogWork work, void *arg);
extern const char *catalog_last_error(void);

/* ---- Inside a transaction ---- */

extern bool catalog_extension_exists(void);

/* A new Catalog from the tables, what was observed taken over from old, which
 * is freed (NULL: none). */
extern Catalog *catalog_load(Catalog *old);

/* Share-lock the rows an intent rests on (app < 0: the stack's alone).  False when what is wanted is no
 * longer what was loaded; an error when somebody is changing it right now. */
extern bool catalog_confirm(const Catalog *catalog, int app);

extern void catalog_store_step(const Catalog *catalog, int step);
extern void catalog_store_log(const Catalog *catalog, int step, const char *log);
extern void catalog_store_app(const Catalog *catalog, int app, const char *error, bool phase_changed);
extern void catalog_store_stack(const Catalog *catalog, const char *error, bool phase_changed);
extern void catalog_store_checked(const Catalog *catalog, int app);
extern void catalog_store_engine(Catalog *catalog, const char *engine);
extern void catalog_renew(const Catalog *catalog, int app);
extern void catalog_forget(const Catalog *catalog, int app);

/* Carry out what operators asked for, oldest first, each with its event. */
extern void catalog_take_requests(void);

/* The spec of a role and what it draws on, palloc'd; spec NULL none. */
extern void catalog_spec(const Catalog *catalog, int app, Role role,
						 SpecContext *context, char **spec);

/* ---- Look-ups in memory ---- */

extern int	catalog_find_app(const Catalog *catalog, const char *name);	/* "" HAF; -1 none */
extern int	catalog_find_step(const Catalog *catalog, const char *app, Role role, int ordinal);
extern int	catalog_find_id(const Catalog *catalog, const char *id);

/* Set one of the texts of a StepInfo, AppInfo, App or Step; value NULL: none. */
extern void catalog_set_text(const Catalog *catalog, char **text, const char *value);

#endif							/* HAFSTACK_CATALOG_H */
