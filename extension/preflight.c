/*
 * preflight.c
 *		Before the first container: is every image there or to be had, does every
 *		network exist (rule 12)?
 *
 * All apps whose check is due are checked in one batch, each image and network
 * once.  What is wrong with an app is named, all of it, in its error.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "event.h"
#include "hafstack.h"
#include "worker.h"

#define CHECK_PAUSE_MS	1000	/* between two checks of an app, at least */

typedef struct Item				/* an image or a network */
{
	bool		network;
	char	   *name;
	char	   *error;			/* NULL: fine */
} Item;

typedef struct Checked			/* an app of the batch */
{
	char		name[NAMEDATALEN];
	int64		version;		/* of what was checked */
	List	   *items;			/* int: its images and networks */
	char	   *error;			/* a spec that cannot be built */
} Checked;

struct Preflight
{
	MemoryContext context;
	Item	   *items;
	int			n_items;
	int			room;
	Checked    *apps;
	int			n_apps;
	int			open;			/* answers to come */
	bool		void_;			/* the Engine went away meanwhile */
};

/* ---- Gather --------------------------------------------------------------------- */

static int
add_item(Preflight *batch, bool network, const char *name)
{
	for (int i = 0; i < batch->n_items; i++)
		if (batch->items[i].network == network && strcmp(batch->items[i].name, name) == 0)
			return i;
	if (batch->n_items == batch->room)
	{
		batch->room = Max(16, batch->room * 2);
		batch->items = batch->items ?
			repalloc(batch->items, sizeof(Item) * batch->room) : palloc(sizeof(Item) * batch->room);
	}
	batch->items[batch->n_items] = (Item) {network, pstrdup(name), NULL};
	return batch->n_items++;
}

static void
gather_role(Worker *worker, Preflight *batch, Checked *checked, int app, Role role)
{
	SpecContext context;
	char	   *spec;

	catalog_spec(worker->catalog, app, role, &context, &spec);
	MemoryContextSwitchTo(batch->context);	/* SPI leaves its own behind */
	for (int n = 1; spec != NULL && n <= worker->catalog->view.apps[app].count[role]; n++)
	{
		SpecContainer container;
		SpecError	error;

		if (!spec_build(&context, role_names[role], spec, n, NULL, &container, &error))
		{
			checked->error = pstrdup(error.message);
			continue;
		}
		/* what is cloned has the image and the networks of the container that runs */
		if (container.image[0] != '\0')
			checked->items = list_append_unique_int(checked->items, add_item(batch, false, container.image));
		if (container.network && !spec_is_cloned(&context, role_names[role]))
			checked->items = list_append_unique_int(checked->items, add_item(batch, true, container.network));
		spec_free(&container);
	}
}

static void
gather_work(void *arg)
{
	Worker	   *worker = arg;
	Preflight  *batch = worker->preflight;

	for (int i = 0; i < worker->catalog->view.n_apps; i++)
	{
		App		   *app = &worker->catalog->view.apps[i];
		Checked    *checked;

		if (!app_checking(app))
			continue;
		checked = &batch->apps[batch->n_apps++];
		memset(checked, 0, sizeof(*checked));
		strlcpy(checked->name, app->name, sizeof(checked->name));
		checked->version = app->spec_version + worker->catalog->view.stack.spec_version;
		for (int role = 0; role < ROLES; role++)
			if (app->count[role] > 0 && !app->counts_done[role])
				gather_role(worker, batch, checked, i, role);
	}
}

static void
end_batch(Worker *worker)
{
	MemoryContextDelete(worker->preflight->context);
	worker->preflight = NULL;
}

/* Try all of them again, a moment later. */
static void
call_off(Worker *worker)
{
	for (int i = 0; i < worker->catalog->view.n_apps; i++)
	{
		App		   *app = &worker->catalog->view.apps[i];

		if (app_checking(app))
		{
			app->check = app_check_failed(app) ? CHECK_FAILED : CHECK_NONE;
			app->check_at = GetCurrentTimestamp() + BUSY_PAUSE_US;
		}
	}
	if (worker->preflight)
		end_batch(worker);
}

/* ---- Conclude ---------------------------------------------------------------------- */

static char *
verdict(const Preflight *batch, const Checked *checked)
{
	StringInfoData words;
	ListCell   *cell;

	initStringInfo(&words);
	if (checked->error)
		appendStringInfoString(&words, checked->error);
	foreach(cell, checked->items)
	{
		const Item *item = &batch->items[lfirst_int(cell)];

		if (item->error)
			appendStringInfo(&words, "%s%s \"%s\": %s", words.len ? "; " : "",
							 item->network ? "network" : "image", item->name, item->error);
	}
	return words.len ? words.data : NULL;
}

typedef struct Conclusion
{
	Worker	   *worker;
	int			app;
	const char *error;
} Conclusion;

static void
conclude_work(void *arg)
{
	Conclusion *conclusion = arg;
	Worker	   *worker = conclusion->worker;
	const App  *app = &worker->catalog->view.apps[conclusion->app];

	if (conclusion->error == NULL)
		catalog_store_checked(worker->catalog, conclusion->app);
	else if (app->failed)
		catalog_store_app(worker->catalog, conclusion->app, conclusion->error, false);
}

static void
conclude_app(Worker *worker, const Checked *checked)
{
	View	   *view = &worker->catalog->view;
	int			at = catalog_find_app(worker->catalog, checked->name);
	App		   *app = at < 0 ? NULL : &view->apps[at];
	AppInfo    *info = at < 0 ? NULL : &worker->catalog->app_info[at];
	Conclusion	conclusion = {worker, at, verdict(worker->preflight, checked)};
	int64		delay;

	if (app == NULL || !app_checking(app))
		return;
	app->check = CHECK_NONE;
	if (checked->version != app->spec_version + view->stack.spec_version)
		return;					/* altered meanwhile: check anew */
	if (conclusion.error == NULL)
	{
		app->checked_version = checked->version;
		info->check_failures = 0;
	}
	else
	{
		app->check = CHECK_FAILED;
		delay = (int64) hafstack_retry_delay << Min(info->check_failures, 20);
		delay = Max(Min(delay, hafstack_max_retry_delay), CHECK_PAUSE_MS);
		info->check_failures++;
		app->check_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
	}
	catalog_set_text(worker->catalog, &info->preflight_error, conclusion.error);
	if (conclusion.error != NULL && app->failed)
		catalog_set_text(worker->catalog, (char **) &app->error, conclusion.error);
	if (!worker_transaction(worker, conclude_work, &conclusion) && conclusion.error == NULL)
	{
		app->checked_version = 0;
		app->check_at = GetCurrentTimestamp() + BUSY_PAUSE_US;
	}
}

static void
conclude(Worker *worker)
{
	Preflight  *batch = worker->preflight;

	if (batch->void_)
	{
		call_off(worker);
		return;
	}
	for (int i = 0; i < batch->n_apps; i++)
		conclude_app(worker, &batch->apps[i]);
	end_batch(worker);
}

/* ---- Ask ------------------------------------------------------------------------------ */

static bool
ask(Worker *worker, int at)
{
	const Item *item = &worker->preflight->items[at];
	Action		action = {ACT_PREFLIGHT, -1, -1, 0};
	uint64		tag = act_new_call(worker, &action, at);

	return worker->engine != NULL &&
		(item->network ? engine_network(worker->engine, tag, item->name) :
		 engine_image(worker->engine, tag, item->name));
}

void
preflight_begin(Worker *worker)
{
	bool		due = false;
	MemoryContext context;

	for (int i = 0; i < worker->catalog->view.n_apps; i++)
		due |= app_checking(&worker->catalog->view.apps[i]);
	if (!due || worker->preflight != NULL)
		return;
	context = AllocSetContextCreate(TopMemoryContext, "hafstack preflight", ALLOCSET_DEFAULT_SIZES);
	worker->preflight = MemoryContextAllocZero(context, sizeof(Preflight));
	worker->preflight->context = context;
	worker->preflight->apps =
		MemoryContextAllocHuge(context, sizeof(Checked) * worker->catalog->view.n_apps);
	if (!worker_transaction(worker, gather_work, worker))
	{
		call_off(worker);
		return;
	}
	worker->preflight->open = worker->preflight->n_items;
	for (int i = 0; i < worker->preflight->n_items; i++)
		if (!ask(worker, i))
		{
			worker->preflight->open--;
			worker->preflight->void_ = true;
		}
	if (worker->preflight->open == 0)
		conclude(worker);
}

static bool
pull_instead(Worker *worker, int at)
{
	Action		action = {ACT_PREFLIGHT, -1, -1, 0};

	return engine_pull(worker->engine, act_new_call(worker, &action, at),
					   worker->preflight->items[at].name);
}

void
preflight_settle(Worker *worker, const Call *call, const EngineReply *reply)
{
	Preflight  *batch = worker->preflight;
	Item	   *item;

	if (batch == NULL || call->item >= batch->n_items)
		return;
	item = &batch->items[call->item];
	if (reply->call == ENGINE_IMAGE && reply->outcome == ENGINE_ABSENT &&
		pull_instead(worker, call->item))
		return;
	if (reply->outcome == ENGINE_LOST || reply->outcome == ENGINE_UNREACHABLE)
	{
		/* a pull that failed on its way is the registry's fault; else the Engine's */
		if (reply->call != ENGINE_PULL)
			batch->void_ = true;
	}
	if (reply->outcome != ENGINE_OK)
		item->error = MemoryContextStrdup(batch->context, server_text(reply->error));
	if (--batch->open == 0)
		conclude(worker);
}

void
preflight_abandon(Worker *worker)
{
	call_off(worker);
}
