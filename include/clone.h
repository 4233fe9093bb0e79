/*
 * clone.h
 *		From the container that the server runs in to the bodies of those that
 *		follow it over the same data directory (design, section 6).
 *
 * Room: pure text to text, with cJSON, as spec.h; no server header, no Docker
 * call.  What it makes is laid under the role's spec by spec.c.
 */
#ifndef HAFSTACK_CLONE_H
#define HAFSTACK_CLONE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum CloneKind
{
	CLONE_INDEX,				/* the maintenance option, and nothing else */
	CLONE_HAF,					/* hived too */
	CLONE_RECOVERY,				/* the server alone */
	CLONE_HANDOFF				/* the same image, the Docker socket, no data */
} CloneKind;

typedef struct Clone
{
	char	   *body;			/* JSON of POST /containers/create, but labels of ours; malloc'd */
	char		restart_policy[32];
	int			restart_retries;
} Clone;

/* The id of the container that a process with this /proc/self/mountinfo is in. */
extern bool clone_find_self(const char *mountinfo, char *id, size_t size);

/* Does the container of this inspect text run hived, rather than the server alone or a script? */
extern bool clone_runs_hived(const char *inspect);

/*
 * CLONE_HANDOFF: command is the program and its arguments, ending with NULL, and
 * docker_host and cert_path what of the mounts it needs; NULL for the others.
 * False when inspect is not the text of a container, or memory is short.
 */
extern bool clone_make(const char *inspect, CloneKind kind, const char *const *command,
					   const char *docker_host, const char *cert_path, Clone *out);

/*
 * A clone is made in one network, and bears in a label what others it is to be
 * connected to before it is started.  The at-th of those that it is not in yet,
 * and the endpoint's configuration; both malloc'd.  False: there is none.
 */
extern bool clone_missing_network(const char *inspect, int at, char **network, char **endpoint);
extern void clone_free(Clone *clone);

#endif							/* HAFSTACK_CLONE_H */
