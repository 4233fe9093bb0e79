/*
 * event.c
 *		Event rows and their NOTIFY (rule 9).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "event.h"

#define CHANNEL "hafstack"

static void
append_member(StringInfo json, const char *key, const char *value)
{
	appendStringInfo(json, ", \"%s\": ", key);
	if (value == NULL)
		appendStringInfoString(json, "null");
	else
		escape_json(json, value);
}

void
event_write(const char *kind, const char *app, const char *from,
			const char *to, const char *detail)
{
	static SPIPlanPtr plan = NULL;
	const char *texts[] = {kind, app, from, to, detail};
	Datum		values[5];
	char		nulls[5];
	StringInfoData json;

	if (plan == NULL)
	{
		Oid			types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};

		plan = SPI_prepare("INSERT INTO hafstack.event (kind, app, from_state, to_state, detail)"
						   " VALUES ($1, $2, $3, $4, $5)"
						   " RETURNING seq::text, pg_catalog.to_json(at)::text", 5, types);
		if (plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(plan);
	}
	for (int i = 0; i < 5; i++)
	{
		nulls[i] = texts[i] ? ' ' : 'n';
		values[i] = texts[i] ? CStringGetTextDatum(texts[i]) : (Datum) 0;
	}
	if (SPI_execute_plan(plan, values, nulls, false, 1) != SPI_OK_INSERT_RETURNING ||
		SPI_processed != 1)
		elog(ERROR, "hafstack.event took no row");

	initStringInfo(&json);
	appendStringInfo(&json, "{\"seq\": %s, \"at\": %s",
					 SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
					 SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2));
	append_member(&json, "kind", kind);
	append_member(&json, "app", app);
	append_member(&json, "from", from);
	append_member(&json, "to", to);
	appendStringInfoChar(&json, '}');
	Async_Notify(CHANNEL, json.data);
	pfree(json.data);
}
