/*
 * spec.h
 *		Role specs: from what the operator wrote to the body of Docker's
 *		*create container* call (interface.md, "Role specs").
 *
 * Room: pure text to text, with cJSON.  No server header, no Docker call, so the
 * SQL functions check a spec at registration with the very code that the worker
 * later builds the container with.
 */
#ifndef HAFSTACK_SPEC_H
#define HAFSTACK_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* seconds that a container has to stop in, where its spec does not say */
#define SPEC_STOP_TIMEOUT_S		30
#define SPEC_HAF_STOP_TIMEOUT_S	120 /* hived flushes */
#define SPEC_STOP_TIMEOUT_MAX_S	86400

#define SPEC_MAX_BYTES	(1024 * 1024)	/* of one spec, defaults or vars */
#define SPEC_MAX_CONTAINERS 64			/* of one role */

/* The convention that true stands for; the option with which HAF's image runs a script. */
#define SPEC_SCRIPTS			"/haf_app_root/scripts/"
#define SPEC_INDEX_SCRIPT		SPEC_SCRIPTS "setup_haf_indexes.sh"
#define SPEC_MAINTENANCE_OPTION	"--execute-maintenance-script"

/* Everything of the stack and the app that a spec can draw on.  JSON as text;
 * NULL where not set. */
typedef struct SpecContext
{
	const char *stack_name;
	bool		bundled;
	const char *postgres_url;
	const char *network;
	const char *haf_image;
	const char *helper_image;
	const char *defaults;		/* JSON object */
	const char *vars;			/* JSON object of strings, numbers, booleans */
	const char *app;			/* NULL: HAF itself */
	const char *app_root;
	const char *image;			/* the app's */

	/* bundled: what lies under the spec of a container of the chain (clone.h) */
	const char *base;			/* NULL: only check */
	const char *restart_policy; /* NULL: "no" */
	int			restart_retries;
} SpecContext;

typedef struct SpecLabels
{
	const char *stack_id;
	int64_t		run;
	int			attempt;
} SpecLabels;

typedef struct SpecError
{
	char		sqlstate[6];	/* 22023 invalid value, 42602 bad name, 54000 too large ... */
	char		message[512];	/* names role and offending value; never a secret: of the
								 * spec's strings only placeholders, keys, images, names */
	char		hint[512];		/* may be empty */
} SpecError;

/* One container as it will be created. */
typedef struct SpecContainer
{
	char	   *name;			/* container name */
	char	   *image;			/* empty: that of the container it is cloned from */
	char	   *network;		/* NULL where the container names none, or "host", "none", "bridge" */
	char	   *body;			/* JSON of POST /containers/create */
} SpecContainer;

/*
 * Roles are named "index", "setup", "sync", "live_sync", "api" for apps and
 * "instance", "live_sync", "recovery", "handoff" for HAF (context->app NULL).
 */

/* Is a container of this role a link of the chain, so that it needs a base? */
extern bool spec_is_cloned(const SpecContext *context, const char *role);

/* Is it a network of the user's, where containers have aliases?  NULL is none. */
extern bool spec_is_user_network(const char *network);

/* Number of containers that spec asks for: 0 for NULL or JSON null, -1 on error. */
extern int	spec_count(const SpecContext *context, const char *role,
					   const char *spec, SpecError *error);

/*
 * Build container number ordinal (from 1) of a role.  labels NULL: only check
 * (run 0, attempt 0).  False on error; on success release with spec_free().
 */
extern bool spec_build(const SpecContext *context, const char *role,
					   const char *spec, int ordinal, const SpecLabels *labels,
					   SpecContainer *out, SpecError *error);
extern void spec_free(SpecContainer *container);

/* Check defaults and vars by themselves. */
extern bool spec_check_defaults(const char *defaults, SpecError *error);
extern bool spec_check_vars(const char *vars, SpecError *error);

/* Container-safe: [a-zA-Z0-9][a-zA-Z0-9_.-]{1,61}, what Docker takes. */
extern bool spec_name_valid(const char *name);

#endif							/* HAFSTACK_SPEC_H */
