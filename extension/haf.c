/*
 * haf.c
 *		What HAF's tables say.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "haf.h"

#define BUILDING_EVERY_MS	1000
#define RATE_EVERY_MS		1000
#define RATE_WEIGHT			0.3		/* of the newest second in the average */

/* One context that apps name, as seen in this look. */
typedef struct SeenContext
{
	char		name[NAMEDATALEN];	/* hash key */
	bool		exists;
	int			id;
	int64		block;
	bool		attached;
	int			missing_indexes;
} SeenContext;

typedef struct ContextId
{
	int32		id;				/* hash key */
	SeenContext *context;
} ContextId;

typedef struct Look
{
	HafView		haf;
	HTAB	   *contexts;		/* by name: all that apps name */
	HTAB	   *by_id;			/* those of them that exist */
} Look;

/* ---- Scanning a table of somebody else's ------------------------------------ */

typedef struct PlainScan
{
	Relation	relation;
	TableScanDesc scan;
	TupleTableSlot *slot;
} PlainScan;

/* The relation, locked for reading, if it is a plain table; else NULL. */
static Relation
open_plain(const char *name)
{
	Oid			id = RangeVarGetRelid(makeRangeVar("hafd", pstrdup(name), -1),
									  AccessShareLock, true);
	Relation	relation;

	if (!OidIsValid(id))
		return NULL;
	relation = relation_open(id, NoLock);
	if (relation->rd_rel->relkind == RELKIND_RELATION)
		return relation;
	relation_close(relation, AccessShareLock);
	return NULL;
}

static bool
scan_begin(PlainScan *scan, const char *name)
{
	scan->relation = open_plain(name);
	if (scan->relation == NULL)
		return false;
	scan->slot = table_slot_create(scan->relation, NULL);
	scan->scan = table_beginscan(scan->relation, GetActiveSnapshot(), 0, NULL);
	return true;
}

static bool
scan_next(PlainScan *scan)
{
	CHECK_FOR_INTERRUPTS();
	return table_scan_getnextslot(scan->scan, ForwardScanDirection, scan->slot);
}

static void
scan_end(PlainScan *scan)
{
	table_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	relation_close(scan->relation, AccessShareLock);
}

/* Number of the column with this name and base type, 0 none.  type InvalidOid:
 * any enum. */
static AttrNumber
column(Relation relation, const char *name, Oid type)
{
	AttrNumber	number = get_attnum(RelationGetRelid(relation), name);
	Oid			base;

	if (number <= 0)
		return 0;
	base = getBaseType(TupleDescAttr(RelationGetDescr(relation), number - 1)->atttypid);
	if (type == InvalidOid ? get_typtype(base) == TYPTYPE_ENUM : base == type)
		return number;
	return 0;
}

static Datum
value_at(PlainScan *scan, AttrNumber number, bool *isnull)
{
	*isnull = true;
	return number > 0 ? slot_getattr(scan->slot, number, isnull) : (Datum) 0;
}

static int64
int_value(PlainScan *scan, AttrNumber number, int64 if_null)
{
	bool		isnull;
	Datum		value = value_at(scan, number, &isnull);

	return isnull ? if_null : DatumGetInt32(value);
}

static bool
bool_value(PlainScan *scan, AttrNumber number)
{
	bool		isnull;
	Datum		value = value_at(scan, number, &isnull);

	return !isnull && DatumGetBool(value);
}

static void
text_value(PlainScan *scan, AttrNumber number, char *out, Size size)
{
	bool		isnull;
	Datum		value = value_at(scan, number, &isnull);

	strlcpy(out, isnull ? "" : TextDatumGetCString(value), size);
}

static void
enum_value(PlainScan *scan, AttrNumber number, char *out, Size size)
{
	bool		isnull;
	Datum		value = value_at(scan, number, &isnull);

	strlcpy(out, isnull ? "" : OidOutputFunctionCall(F_ENUM_OUT, value), size);
}

static int
ids_value(PlainScan *scan, AttrNumber number, int32 **ids)
{
	bool		isnull;
	Datum		value = value_at(scan, number, &isnull);
	ArrayType  *array;

	if (isnull)
		return 0;
	array = DatumGetArrayTypeP(value);
	if (ARR_NDIM(array) != 1 || ARR_HASNULL(array) || ARR_ELEMTYPE(array) != INT4OID)
		return 0;
	*ids = (int32 *) ARR_DATA_PTR(array);
	return ARR_DIMS(array)[0];
}

/* ---- The tables ------------------------------------------------------------- */

static void
look_at_state(HafView *haf)
{
	PlainScan		scan;

	haf->installed = scan_begin(&scan, "hive_state");
	haf->connected = false;
	haf->state[0] = '\0';
	haf->consistent_block = -1;
	haf->dirty = false;
	haf->pruning = 0;
	if (!haf->installed)
		return;
	if (scan_next(&scan))
	{
		haf->connected = true;
		enum_value(&scan, column(scan.relation, "state", InvalidOid), haf->state, sizeof(haf->state));
		haf->consistent_block =
			int_value(&scan, column(scan.relation, "consistent_block", INT4OID), -1);
		haf->dirty = bool_value(&scan, column(scan.relation, "is_dirty", BOOLOID));
		haf->pruning = int_value(&scan, column(scan.relation, "pruning", INT4OID), 0);
	}
	scan_end(&scan);
}

/* hived writes now() without a time zone: the one of its session, which is the
 * database's, and so ours. */
static void
look_at_connections(HafView *haf)
{
	PlainScan		scan;
	AttrNumber	time;

	haf->connected_at = 0;
	haf->has_connections = false;
	if (!scan_begin(&scan, "hived_connections"))
		return;
	time = column(scan.relation, "time", TIMESTAMPOID);
	haf->has_connections = AttributeNumberIsValid(time);
	while (scan_next(&scan))
	{
		bool		isnull;
		Datum		value = value_at(&scan, time, &isnull);

		if (!isnull && !TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)))
			haf->connected_at =
				Max(haf->connected_at,
					DatumGetTimestampTz(DirectFunctionCall1(timestamp_timestamptz, value)));
	}
	scan_end(&scan);
}

/* A valid btree index on exactly this column, InvalidOid none. */
static Oid
index_on(Relation relation, AttrNumber number)
{
	List	   *indexes = RelationGetIndexList(relation);
	ListCell   *cell;
	Oid			found = InvalidOid;

	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if (index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indisvalid &&
			IndexRelationGetNumberOfKeyAttributes(index) == 1 &&
			index->rd_index->indkey.values[0] == number &&
			index->rd_opcintype[0] == INT4OID &&
			heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
			found = RelationGetRelid(index);
		index_close(index, AccessShareLock);
		if (OidIsValid(found))
			break;
	}
	list_free(indexes);
	return found;
}

/* The time of the head block, which only counts once HAF is live; in massive
 * sync the index is gone, and nobody scans 100 million blocks for it. */
static void
look_at_head(HafView *haf)
{
	Relation	blocks;
	AttrNumber	num,
				created_at;
	Oid			index;

	haf->block_time = 0;
	if (haf->consistent_block < 0 || haf->dirty)
		return;
	blocks = open_plain("blocks");
	if (blocks == NULL)
		return;
	num = column(blocks, "num", INT4OID);
	created_at = column(blocks, "created_at", TIMESTAMPOID);
	index = num && created_at ? index_on(blocks, num) : InvalidOid;
	if (OidIsValid(index))
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, num, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(haf->consistent_block));
		scan = systable_beginscan(blocks, index, true, GetActiveSnapshot(), 1, &key);
		tuple = systable_getnext(scan);
		if (HeapTupleIsValid(tuple))
		{
			bool		isnull;
			Datum		value = heap_getattr(tuple, created_at, RelationGetDescr(blocks), &isnull);

			/* UTC, so the same microseconds as a timestamptz */
			if (!isnull && !TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)))
				haf->block_time = DatumGetTimestamp(value);
		}
		systable_endscan(scan);
	}
	relation_close(blocks, AccessShareLock);
}

static void
want_contexts(Look *look, const Catalog *catalog)
{
	HASHCTL		names = {.keysize = NAMEDATALEN, .entrysize = sizeof(SeenContext), .hcxt = CurrentMemoryContext};
	HASHCTL		ids = {.keysize = sizeof(int32), .entrysize = sizeof(ContextId), .hcxt = CurrentMemoryContext};

	look->contexts = hash_create("hafstack contexts", catalog->view.n_apps, &names,
								 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	look->by_id = hash_create("hafstack context ids", catalog->view.n_apps, &ids,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (int i = 1; i < catalog->view.n_apps; i++)
		for (int c = 0; c < catalog->app_info[i].n_contexts; c++)
		{
			bool		found;
			SeenContext *context = hash_search(look->contexts, catalog->app_info[i].contexts[c],
											   HASH_ENTER, &found);

			if (!found)
				memset((char *) context + NAMEDATALEN, 0, sizeof(*context) - NAMEDATALEN);
		}
}

static void
look_at_contexts(Look *look)
{
	PlainScan		scan;
	AttrNumber	id,
				name,
				block;

	if (hash_get_num_entries(look->contexts) == 0 || !scan_begin(&scan, "contexts"))
		return;
	id = column(scan.relation, "id", INT4OID);
	name = column(scan.relation, "name", TEXTOID);
	block = column(scan.relation, "current_block_num", INT4OID);
	while (scan_next(&scan))
	{
		char		key[NAMEDATALEN];
		SeenContext *context;
		ContextId  *entry;

		text_value(&scan, name, key, sizeof(key));
		context = hash_search(look->contexts, key, HASH_FIND, NULL);
		if (context == NULL)
			continue;
		context->exists = true;
		context->id = int_value(&scan, id, 0);
		context->block = int_value(&scan, block, 0);
		entry = hash_search(look->by_id, &context->id, HASH_ENTER, NULL);
		entry->context = context;
	}
	scan_end(&scan);
}

static SeenContext *
context_by_id(const Look *look, int32 id)
{
	ContextId  *entry = hash_search(look->by_id, &id, HASH_FIND, NULL);

	return entry ? entry->context : NULL;
}

static void
look_at_attachments(Look *look)
{
	PlainScan		scan;
	AttrNumber	id,
				attached;

	if (hash_get_num_entries(look->by_id) == 0 || !scan_begin(&scan, "contexts_attachment"))
		return;
	id = column(scan.relation, "context_id", INT4OID);
	attached = column(scan.relation, "is_attached", BOOLOID);
	while (scan_next(&scan))
	{
		SeenContext *context = context_by_id(look, int_value(&scan, id, 0));

		if (context != NULL)
			context->attached = bool_value(&scan, attached);
	}
	scan_end(&scan);
}

static void
count_missing(Look *look, const char *name, const int32 *ids, int n)
{
	for (int i = 0; i < n; i++)
	{
		SeenContext *context = context_by_id(look, ids[i]);
		Size		used = strlen(look->haf.missing_names);

		if (context != NULL)
			context->missing_indexes++;
		if (ids[i] != 0)
			continue;
		if (look->haf.missing++ < 3)
			snprintf(look->haf.missing_names + used, sizeof(look->haf.missing_names) - used,
					 "%s%s", used ? ", " : "", name);
	}
}

/* Indexes, constraints and foreign keys that HAF keeps.  Older HAF has no column
 * contexts (all rows are its own) or status (nothing is known to be missing). */
static void
look_at_indexes(Look *look)
{
	static const int32 own[] = {0};
	PlainScan		scan;
	AttrNumber	name,
				contexts,
				status;

	look->haf.missing = 0;
	look->haf.missing_names[0] = '\0';
	if (!scan_begin(&scan, "indexes_constraints"))
		return;
	name = column(scan.relation, "index_constraint_name", TEXTOID);
	contexts = column(scan.relation, "contexts", INT4ARRAYOID);
	status = column(scan.relation, "status", InvalidOid);
	while (status != 0 && scan_next(&scan))
	{
		char		label[NAMEDATALEN],
					index[NAMEDATALEN];
		int32	   *ids = NULL;
		int			n;

		enum_value(&scan, status, label, sizeof(label));
		if (strcmp(label, "created") == 0)
			continue;
		text_value(&scan, name, index, sizeof(index));
		n = ids_value(&scan, contexts, &ids);
		if (contexts == 0)
			count_missing(look, index, own, 1);
		else
			count_missing(look, index, ids, n);
	}
	scan_end(&scan);
}

/* PostgreSQL's own word on what is being built, once a second at most. */
static void
look_at_building(HafView *haf)
{
	TimestampTz now = GetCurrentTimestamp();

	if (haf->missing == 0)
		haf->building[0] = '\0';
	if (haf->missing == 0 ||
		!TimestampDifferenceExceeds(haf->building_at, now, BUILDING_EVERY_MS))
		return;
	haf->building_at = now;
	haf->building[0] = '\0';
	if (SPI_execute("SELECT relid::regclass::text, phase,"
					" (100.0 * blocks_done / nullif(blocks_total, 0))::int::text"
					" FROM pg_catalog.pg_stat_progress_create_index"
					" WHERE datid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
					" LIMIT 1", true, 1) == SPI_OK_SELECT && SPI_processed == 1)
	{
		char	   *percent = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3);

		snprintf(haf->building, sizeof(haf->building), "now on %s: %s%s%s%s",
				 SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
				 SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2),
				 percent ? ", " : "", percent ? percent : "", percent ? "%" : "");
	}
}

/* ---- What the apps have reached ------------------------------------------- */

static void
bring_rate_up_to_date(TimestampTz now, int64 block, TimestampTz *at, int64 *from, double *rate)
{
	double		seconds = (now - *at) / 1000000.0;

	if (*at != 0 && seconds * 1000 < RATE_EVERY_MS)
		return;
	if (*at != 0 && block >= *from && *from >= 0)
	{
		double		newest = (block - *from) / seconds;

		*rate = *rate < 0 ? newest : *rate * (1 - RATE_WEIGHT) + newest * RATE_WEIGHT;
	}
	*at = now;
	*from = block;
}

/* The app's contexts against HAF's head; its note names the first that is not
 * in sync. */
static void
judge_app(Look *look, Catalog *catalog, int at)
{
	App		   *app = &catalog->view.apps[at];
	AppInfo    *info = &catalog->app_info[at];
	int64		head = look->haf.consistent_block;

	info->current_block = info->blocks_behind = -1;
	info->note[0] = '\0';
	for (int c = 0; c < info->n_contexts; c++)
	{
		SeenContext *context = look->contexts == NULL ? NULL :
			hash_search(look->contexts, info->contexts[c], HASH_FIND, NULL);
		int64		behind;

		if (context == NULL || !context->exists)
		{
			snprintf(info->note, WORDS_MAX, "context \"%s\" does not exist yet", info->contexts[c]);
			break;
		}
		behind = head < 0 ? -1 : Max(head - context->block, 0);
		if (info->current_block < 0 || context->block < info->current_block)
			info->current_block = context->block;
		info->blocks_behind = Max(info->blocks_behind, behind);
		if (info->note[0] == '\0' && behind > hafstack_live_blocks_behind)
			snprintf(info->note, WORDS_MAX, INT64_FORMAT " blocks behind", behind);
		else if (info->note[0] == '\0' && !context->attached)
			snprintf(info->note, WORDS_MAX, "context \"%s\" is detached", context->name);
		else if (info->note[0] == '\0' && info->wait_for_indexes && context->missing_indexes > 0)
			snprintf(info->note, WORDS_MAX, "HAF still builds %d of the indexes of context \"%s\"",
					 context->missing_indexes, context->name);
	}
	app->caught_up = app->has_contexts && info->note[0] == '\0' && head >= 0;
	if (info->current_block >= 0)
		bring_rate_up_to_date(look->haf.observed_at, info->current_block,
							  &info->rate_at, &info->rate_block, &info->rate);
}

void
haf_look(HafView *haf, Catalog *catalog)
{
	Look		look = {.haf = *haf};

	look_at_state(&look.haf);
	if (look.haf.installed)
	{
		want_contexts(&look, catalog);
		look_at_connections(&look.haf);
		look_at_head(&look.haf);
		look_at_contexts(&look);
		look_at_attachments(&look);
		look_at_indexes(&look);
		look_at_building(&look.haf);
	}
	look.haf.observed_at = GetCurrentTimestamp();
	look.haf.trouble[0] = '\0';
	if (look.haf.consistent_block >= 0)
		bring_rate_up_to_date(look.haf.observed_at, look.haf.consistent_block,
							  &look.haf.rate_at, &look.haf.rate_block, &look.haf.rate);
	for (int i = 1; i < catalog->view.n_apps; i++)
		judge_app(&look, catalog, i);
	*haf = look.haf;
}

static bool
has_rows(const char *table)
{
	PlainScan	scan;
	bool		any;

	if (!scan_begin(&scan, table))
		return false;
	any = scan_next(&scan);
	scan_end(&scan);
	return any;
}

void
haf_hived_seen(bool *connected, int *pruning)
{
	HafView		haf = {0};

	look_at_state(&haf);
	*connected = haf.connected || has_rows("hived_connections");
	*pruning = haf.pruning;
}

/* ---- Is HAF live ------------------------------------------------------------ */

/* hived's container, where it is ours; NULL otherwise. */
static const Step *
instance_step(const Catalog *catalog)
{
	const App  *haf = &catalog->view.apps[HAF_APP];

	/* in the operator's own container, or none */
	if (catalog->view.stack.bundled && catalog->view.stack.place != PLACE_INSTANCE)
		return NULL;

	return haf->count[ROLE_INSTANCE] > 0 ?
		&catalog->view.steps[haf->role_first[ROLE_INSTANCE]] : NULL;
}

static bool
haf_ready(const HafView *haf)
{
	return haf->connected && (haf->pruning > 0 || haf->missing == 0);
}

static void
note_state(HafView *haf, const Step *instance)
{
	bool		down = instance != NULL && instance->state != STEP_RUNNING;

	if (!haf->installed)
		snprintf(haf->note, WORDS_MAX, "HAF is not installed in this database (no table hafd.hive_state)");
	else if (!haf->connected)
		snprintf(haf->note, WORDS_MAX, "hived has not connected yet");
	else if (haf->dirty && down)
		snprintf(haf->note, WORDS_MAX, "hived was killed during massive sync (hive_state.is_dirty):"
				 " it will not start again without --psql-force-open-inconsistent");
	else
		snprintf(haf->note, WORDS_MAX, "HAF is in state %s at block " INT64_FORMAT "%s",
				 haf->state, haf->consistent_block, down ? ", and hived is not running" : "");
}

static bool
too_old(const HafView *haf, TimestampTz now)
{
	return hafstack_live_max_age > 0 && haf->block_time != 0 &&
		TimestampDifferenceExceeds(haf->block_time, now, hafstack_live_max_age);
}

void
haf_judge(HafView *haf, Catalog *catalog, TimestampTz now)
{
	const Step *instance = instance_step(catalog);
	const Stack *stack = &catalog->view.stack;
	TimestampTz started_at = stack->bundled ? stack->place_since : instance ? instance->started_at : 0;
	bool		by_ready = catalog->instance_ready_is_live;
	bool		state_ok = by_ready ? haf->connected && haf->consistent_block >= 0 && !haf->dirty :
		strcmp(haf->state, "LIVE") == 0;

	haf->note[0] = '\0';
	if (haf->observed_at == 0)
		snprintf(haf->note, WORDS_MAX, "HAF has not been looked at yet%s%s",
				 haf->trouble[0] ? ": " : "", haf->trouble);
	else if (!state_ok)
		note_state(haf, instance);
	else if (stack->bundled && !decide_hived_here(&catalog->view))
		snprintf(haf->note, WORDS_MAX, "hived does not run in the container that the server is in");
	else if (haf->has_connections && haf->connected_at < started_at)
		snprintf(haf->note, WORDS_MAX, "hived has not connected since its container was started");
	else if (!haf_ready(haf))
		snprintf(haf->note, WORDS_MAX, "HAF has %d indexes or constraints to build (%s)%s%s",
				 haf->missing, haf->missing_names, haf->building[0] ? ", " : "", haf->building);
	else if (!by_ready && too_old(haf, now))
		snprintf(haf->note, WORDS_MAX, "HAF's block " INT64_FORMAT " is of %s, older than hafstack.live_max_age",
				 haf->consistent_block, timestamptz_to_str(haf->block_time));
	catalog->view.stack.haf_live = haf->note[0] == '\0';
	if (haf->trouble[0] != '\0' && haf->observed_at != 0)
	{
		Size		used = strlen(haf->note);

		snprintf(haf->note + used, WORDS_MAX - used, "%sHAF could not be read since %s: %s",
				 used ? "; " : "", timestamptz_to_str(haf->observed_at), haf->trouble);
	}
	catalog->view.stack.haf_note = haf->note;
}

void
haf_publish(const HafView *haf, const Catalog *catalog, HafPublished *out)
{
	out->known = haf->observed_at != 0;
	strlcpy(out->state, haf->state, sizeof(out->state));
	out->live = decide_haf_live(&catalog->view);
	out->ready = haf_ready(haf);
	out->dirty = haf->dirty;
	out->irreversible_block = haf->consistent_block;
	out->block_time = haf->block_time;
	out->observed_at = haf->observed_at;
}
