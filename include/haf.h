/*
 * haf.h
 *		What HAF's tables say: how far hived and the apps are.
 *
 * Room: reads schema hafd, writes nothing.  Whoever owns those tables is not
 * trusted: they are scanned directly, not queried, after a check that each is a
 * plain table and each column has the type expected, so no view, rule, policy,
 * index expression or operator of anybody else's can run in the worker, and
 * no plan can turn into a scan of a hundred million blocks.
 *
 * Facts about HAF: hive_fork_manager's SQL (hive_state, hived_connections,
 * contexts, contexts_attachment, indexes_constraints, blocks).
 */
#ifndef HAFSTACK_HAF_H
#define HAFSTACK_HAF_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "catalog.h"
#include "hafstack.h"

typedef struct HafView
{
	bool		installed;		/* hafd.hive_state is there */
	bool		connected;		/* hived has initialised it */
	char		state[NAMEDATALEN];
	int64		consistent_block;	/* -1 none */
	bool		dirty;
	int			pruning;
	TimestampTz block_time;		/* of consistent_block; 0 unknown */
	bool		has_connections;	/* there is a table of hived's starts */
	TimestampTz connected_at;	/* the last of them; 0 none */
	int			missing;		/* indexes and constraints of HAF's own */
	char		missing_names[WORDS_MAX / 2];	/* the first few */
	char		building[WORDS_MAX / 4];	/* what is being built; empty unknown */
	TimestampTz building_at;	/* when that was looked up */
	TimestampTz observed_at;	/* 0 never */
	char		trouble[WORDS_MAX / 2]; /* why the last look failed; empty: it did not */
	TimestampTz rate_at;
	int64		rate_block;
	double		rate;			/* of consistent_block, blocks a second */
	char		note[WORDS_MAX];	/* why HAF is not live; empty: it is */
} HafView;

/* One look, in the current transaction: fills haf, and what the apps in the
 * catalog have reached.  Errors (locks, timeouts) leave both as they were. */
extern void haf_look(HafView *haf, Catalog *catalog);

/* Has hived ever been here, and how many blocks does it keep (0: all)?  Waits
 * for locks as long as lock_timeout says. */
extern void haf_hived_seen(bool *connected, int *pruning);

/* Judge what was seen last (design, section 4): sets stack.haf_live and
 * haf->note, and each app's caught_up and note. */
extern void haf_judge(HafView *haf, Catalog *catalog, TimestampTz now);

/* For status(). */
extern void haf_publish(const HafView *haf, const Catalog *catalog, HafPublished *out);

#endif							/* HAFSTACK_HAF_H */
