/*
 * spec.c
 *		Role specs: checked, merged, filled in, and made into the body of the
 *		Docker Engine's *create container* call.
 *
 * Room: see spec.h.  A container is built in this order: the texts are parsed
 * (numbers stay as they were written), the role's entry is brought into the form
 * of an object, placeholders are filled in, keys are checked, and then network,
 * defaults, spec and labels are laid one over the other.
 *
 * Specs, defaults, vars and the URL hold passwords.  What goes into an error is
 * therefore chosen: roles, apps, keys, placeholders, images and names; never any
 * other text of the operator's.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "spec.h"

#include "doc.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEYS_MAX			1000	/* of one object */
#define NAME_MAX_BYTES		200 /* of a container */
#define LABEL_PREFIX		"io.hafstack."

#define INVALID				"22023"
#define BAD_NAME			"42602"
#define TOO_LARGE			"54000"
#define NO_MEMORY			"53200"

#define STRINGS_MAX_SHOWN	100 /* bytes of a text that is shown in an error */

typedef struct Build
{
	const SpecContext *context; /* NULL while defaults or vars are checked alone */
	const char *role;			/* likewise */
	char		where[200];		/* 'role "sync" of app "x"', for errors */
	const char *key;			/* nearest key around what is looked at, or NULL */
	cJSON	   *vars;			/* NULL: none */
	size_t		room;			/* bytes that placeholders may still grow into */
	SpecError  *error;
} Build;

/* ---- errors ---- */

/* A text made fit for an error: one line, cut between characters. */
typedef struct Shown
{
	char		text[STRINGS_MAX_SHOWN + 4];
} Shown;

static Shown
show(const char *text)
{
	Shown		shown;
	size_t		length = strnlen(text, STRINGS_MAX_SHOWN + 1);
	bool		cut = length > STRINGS_MAX_SHOWN;

	if (cut)
	{
		length = STRINGS_MAX_SHOWN;
		while (length > 0 && ((unsigned char) text[length] & 0xC0) == 0x80)
			length--;
	}
	memcpy(shown.text, text, length);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char) text[i] < ' ')
			shown.text[i] = ' ';
	strcpy(shown.text + length, cut ? "..." : "");
	return shown;
}

/* Always false, so that it can be returned. */
static bool
fail(Build *build, const char *sqlstate, const char *hint, const char *format,...)
	__attribute__((format(printf, 4, 5)));

static bool
fail(Build *build, const char *sqlstate, const char *hint, const char *format,...)
{
	SpecError  *error = build->error;
	va_list		arguments;

	snprintf(error->sqlstate, sizeof(error->sqlstate), "%s", sqlstate);
	va_start(arguments, format);
	vsnprintf(error->message, sizeof(error->message), format, arguments);
	va_end(arguments);
	snprintf(error->hint, sizeof(error->hint), "%s", hint);
	return false;
}

static bool
out_of_memory(Build *build)
{
	return fail(build, NO_MEMORY, "", "out of memory");
}

static void
build_init(Build *build, const SpecContext *context, const char *role, SpecError *error)
{
	memset(build, 0, sizeof(*build));
	memset(error, 0, sizeof(*error));
	build->context = context;
	build->role = role;
	build->error = error;
	if (context == NULL)
		snprintf(build->where, sizeof(build->where), "%s", role);
	else if (context->app == NULL)
		snprintf(build->where, sizeof(build->where), "role \"%s\" of HAF", role);
	else
		snprintf(build->where, sizeof(build->where), "role \"%s\" of app \"%s\"",
				 role, show(context->app).text);
}

/* ---- JSON ---- */

/* "\u0000" would end a string unseen. */
static bool
has_nul(const char *text)
{
	const char *escape = text;

	while ((escape = strchr(escape, '\\')) != NULL)
	{
		if (strncmp(escape, "\\u0000", 6) == 0)
			return true;
		escape += escape[1] != '\0' ? 2 : 1;
	}
	return false;
}

static cJSON *
parse(Build *build, const char *text)
{
	size_t		length = strnlen(text, SPEC_MAX_BYTES + 1);
	cJSON	   *json;

	if (length > SPEC_MAX_BYTES)
	{
		fail(build, TOO_LARGE, "", "%s is longer than %d bytes", build->where, SPEC_MAX_BYTES);
		return NULL;
	}
	json = has_nul(text) ? NULL : doc_parse(text, length);
	if (json == NULL)
		fail(build, INVALID, "", "%s is not valid JSON, or is nested too deeply", build->where);
	return json;
}

/* Put item, which may be NULL for want of memory, at key in place of what is there. */
static bool
put(Build *build, cJSON *object, const char *key, cJSON *item)
{
	return doc_put(object, key, item) || out_of_memory(build);
}

static bool
put_text(Build *build, cJSON *object, const char *key, const char *text)
{
	return put(build, object, key, cJSON_CreateString(text));
}

/* An array of one or more strings; further ones end with NULL. */
static bool
put_texts(Build *build, cJSON *object, const char *key, const char *const *texts, int count)
{
	return put(build, object, key, cJSON_CreateStringArray(texts, count));
}

/* The object at key, made if there is none. */
static cJSON *
get_or_put_object(Build *build, cJSON *object, const char *key)
{
	if (!cJSON_IsObject(doc_get(object, key)) && !put(build, object, key, cJSON_CreateObject()))
		return NULL;
	return doc_get(object, key);
}

/* Lay one object over another: objects merge, null deletes, all else replaces. */
static bool
merge(Build *build, cJSON *to, const cJSON *from)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, from)
	{
		if (cJSON_IsNull(item))
			cJSON_DeleteItemFromObjectCaseSensitive(to, item->string);
		else if (cJSON_IsObject(item))
		{
			cJSON	   *under = get_or_put_object(build, to, item->string);

			if (under == NULL || !merge(build, under, item))
				return false;
		}
		else if (!put(build, to, item->string, cJSON_Duplicate(item, true)))
			return false;
	}
	return true;
}

/* ---- postgres_url ---- */

typedef struct Url
{
	char	   *user;
	char	   *host;
	char	   *port;
	char	   *db;
} Url;

static void
url_free(Url *url)
{
	free(url->user);
	free(url->host);
	free(url->port);
	free(url->db);
}

static int
hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit = (char) tolower((unsigned char) digit);
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Percent-decode length bytes into a new text at *to.  False if malformed. */
static bool
url_part(const char *from, size_t length, char **to)
{
	char	   *text = malloc(length + 1);
	size_t		used = 0;

	free(*to);
	*to = text;
	if (text == NULL)
		return false;
	text[0] = '\0';
	for (size_t i = 0; i < length; i++)
	{
		text[used] = from[i];
		if (from[i] == '%')
		{
			int			high = i + 2 < length ? hex_digit(from[i + 1]) : -1;
			int			low = i + 2 < length ? hex_digit(from[i + 2]) : -1;

			if (high < 0 || low < 0 || high + low == 0)
				return false;
			text[used] = (char) (high * 16 + low);
			i += 2;
		}
		used++;
	}
	text[used] = '\0';
	return true;
}

/* "?host=...&port=...&dbname=...": as in libpq these go before the rest. */
static bool
url_query(const char *query, Url *url)
{
	while (*query != '\0')
	{
		size_t		length = strcspn(query, "&");
		const char *value = memchr(query, '=', length);
		size_t		key = value != NULL ? (size_t) (value - query) : 0;
		char	  **to = NULL;

		if (value == NULL)
			return false;
		if (key == 4 && memcmp(query, "host", key) == 0)
			to = &url->host;
		else if (key == 4 && memcmp(query, "port", key) == 0)
			to = &url->port;
		else if (key == 4 && memcmp(query, "user", key) == 0)
			to = &url->user;
		else if (key == 6 && memcmp(query, "dbname", key) == 0)
			to = &url->db;
		if (to != NULL && !url_part(value + 1, length - key - 1, to))
			return false;
		query += length + (query[length] == '&');
	}
	return true;
}

/* libpq's URIs: postgres[ql]://[user[:password]@][host][:port][/db][?key=value&...] */
static bool
url_parse(const char *text, Url *url)
{
	size_t		length;

	if (strncmp(text, "postgres://", 11) == 0)
		text += 11;
	else if (strncmp(text, "postgresql://", 13) == 0)
		text += 13;
	else
		return false;
	length = strcspn(text, "@/");
	if (text[length] == '@')
	{
		if (!url_part(text, strcspn(text, ":@"), &url->user))
			return false;
		text += length + 1;
	}
	if (*text == '[')
	{
		length = strcspn(++text, "]");
		if (text[length] != ']' || !url_part(text, length, &url->host))
			return false;
		length++;
	}
	else
	{
		length = strcspn(text, ":/?");
		if (!url_part(text, length, &url->host))
			return false;
	}
	text += length;
	if (*text == ':')
	{
		length = strcspn(++text, "/?");
		if (!url_part(text, length, &url->port))
			return false;
		text += length;
	}
	if (*text == '/')
	{
		length = strcspn(++text, "?");
		if (!url_part(text, length, &url->db))
			return false;
		text += length;
	}
	return *text == '\0' || (*text == '?' && url_query(text + 1, url));
}

static bool
is_port(const char *text)
{
	size_t		length = strspn(text, "0123456789");

	return length > 0 && length <= 5 && text[length] == '\0' &&
		atoi(text) >= 1 && atoi(text) <= 65535;
}

/* What {{postgres_host}}, {{postgres_port}} or {{postgres_db}} stands for. */
static char *
url_value(Build *build, const char *what)
{
	static const char hint[] = "It must have the form postgres://user@host:port/database.";
	Url			url = {0};
	char	   *value = NULL;

	if (!url_parse(build->context->postgres_url, &url))
		fail(build, INVALID, hint, "{{%s}} in %s: postgres_url is not a valid URI",
			 what, build->where);
	else if (strcmp(what, "postgres_host") == 0)
	{
		if (url.host == NULL || url.host[0] == '\0' || strchr(url.host, ',') != NULL)
			fail(build, INVALID, hint, "{{%s}} in %s: postgres_url does not name exactly one host",
				 what, build->where);
		else
			value = strdup(url.host);
	}
	else if (strcmp(what, "postgres_port") == 0)
	{
		value = strdup(url.port != NULL && url.port[0] != '\0' ? url.port : "5432");
		if (value != NULL && !is_port(value))
		{
			fail(build, INVALID, hint, "{{%s}} in %s: postgres_url does not name exactly one port",
				 what, build->where);
			free(value);
			value = NULL;
		}
	}
	else if (url.db != NULL && url.db[0] != '\0')
		value = strdup(url.db);
	else if (url.user != NULL && url.user[0] != '\0')
		value = strdup(url.user);	/* as libpq does */
	else
		fail(build, INVALID, hint, "{{%s}} in %s: postgres_url names no database",
			 what, build->where);
	if (value == NULL && build->error->sqlstate[0] == '\0')
		out_of_memory(build);
	url_free(&url);
	return value;
}

/* ---- placeholders ---- */

static const char *const builtins[] = {
	"postgres_url", "postgres_host", "postgres_port", "postgres_db",
	"network", "name", "app", "app_root"
};

static bool
is_builtin(const char *name)
{
	for (size_t i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++)
		if (strcmp(name, builtins[i]) == 0)
			return true;
	return false;
}

/* What may stand between braces. */
static bool
is_placeholder(const char *name)
{
	size_t		length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

	return length >= 1 && length <= 63 && name[length] == '\0' &&
		(isalpha((unsigned char) name[0]) || name[0] == '_');
}

static char *
copy_value(Build *build, const char *value)
{
	char	   *copy = strdup(value);

	if (copy == NULL)
		out_of_memory(build);
	return copy;
}

/* A placeholder that always exists, but whose setting may be missing. */
static char *
builtin_value(Build *build, const char *name)
{
	const SpecContext *context = build->context;
	const char *value = context->postgres_url;
	const char *setting = "configure(postgres_url => ...)";
	char		hint[128];

	if (strcmp(name, "network") == 0)
	{
		value = context->network;
		setting = "configure(network => ...)";
	}
	else if (strcmp(name, "name") == 0)
	{
		value = context->stack_name;
		setting = "configure(name => ...)";
	}
	else if (strcmp(name, "app") == 0)
		value = context->app != NULL ? context->app : "haf";	/* defaults are for HAF too */
	else if (strcmp(name, "app_root") == 0)
	{
		value = context->app_root;
		setting = context->app != NULL ? "alter_app(app_root => ...)" :
			"an app's app_root, and HAF has none";
	}
	if (value == NULL)
	{
		snprintf(hint, sizeof(hint), "It comes from %s.", setting);
		fail(build, INVALID, hint, "{{%s}} in %s has no value", name, build->where);
		return NULL;
	}
	if (strncmp(name, "postgres_", 9) == 0 && strcmp(name, "postgres_url") != 0)
		return url_value(build, name);
	return copy_value(build, value);
}

/* Names that are known, for a HINT, as many as there is room for. */
static void
list_known(const Build *build, char *to, size_t size)
{
	const cJSON *item;
	size_t		used;

	used = (size_t) snprintf(to, size, "Known are");
	for (size_t i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++)
		used += (size_t) snprintf(to + used, size - used, "%s %s", i > 0 ? "," : "", builtins[i]);
	cJSON_ArrayForEach(item, build->vars)
	{
		if (used + strlen(item->string) + 32 > size)
		{
			used += (size_t) snprintf(to + used, size - used, ", ...");
			break;
		}
		used += (size_t) snprintf(to + used, size - used, ", %s", item->string);
	}
	snprintf(to + used, size - used, "; others go into vars.");
}

/* What a placeholder stands for, allocated; NULL: an error. */
static char *
placeholder_value(Build *build, const char *name)
{
	const cJSON *item;
	char		hint[512];

	if (!is_placeholder(name))
	{
		fail(build, INVALID,
			 "Text that is to keep its braces can be the value of a key of vars.",
			 "%s: a placeholder in \"%s\" is not well-formed", build->where,
			 show(build->key != NULL ? build->key : "").text);
		return NULL;
	}
	if (is_builtin(name))
		return builtin_value(build, name);
	item = doc_get(build->vars, name);
	if (cJSON_IsBool(item))
		return copy_value(build, cJSON_IsTrue(item) ? "true" : "false");
	if (item != NULL && item->valuestring != NULL)
		return copy_value(build, item->valuestring);
	list_known(build, hint, sizeof(hint));
	fail(build, INVALID, hint, "unknown placeholder {{%s}} in %s", name, build->where);
	return NULL;
}

/* Append to a text that grows.  The whole of it is bounded. */
static bool
append(Build *build, char **text, size_t *used, const char *piece, size_t length)
{
	char	   *bigger;

	if (length > build->room)
		return fail(build, TOO_LARGE, "", "%s is longer than %d bytes with its placeholders filled in",
					build->where, SPEC_MAX_BYTES);
	build->room -= length;
	bigger = realloc(*text, *used + length + 1);
	if (bigger == NULL)
		return out_of_memory(build);
	memcpy(bigger + *used, piece, length);
	*used += length;
	bigger[*used] = '\0';
	*text = bigger;
	return true;
}

/* Fill in the placeholder at from ("{{name}}"); *length is set to its length. */
static bool
append_value(Build *build, char **text, size_t *used, const char *from, size_t *length)
{
	const char *end = strstr(from, "}}");
	char	   *name = end != NULL ? strndup(from + 2, (size_t) (end - from - 2)) : strdup("");
	char	   *value;
	bool		good;

	if (name == NULL)
		return out_of_memory(build);
	value = placeholder_value(build, name);
	free(name);
	if (value == NULL)
		return false;
	*length = (size_t) (end + 2 - from);
	good = append(build, text, used, value, strlen(value));
	free(value);
	return good;
}

/* Fill in the placeholders of one string, which is replaced.  Values are not
 * looked through again. */
static bool
expand_text(Build *build, char **string)
{
	const char *from = *string;
	const char *open;
	char	   *text = NULL;
	size_t		used = 0;
	size_t		length = 0;

	if (strstr(from, "{{") == NULL)
		return true;
	while ((open = strstr(from, "{{")) != NULL)
	{
		if (!append(build, &text, &used, from, (size_t) (open - from)) ||
			!append_value(build, &text, &used, open, &length))
		{
			free(text);
			return false;
		}
		from = open + length;
	}
	if (!append(build, &text, &used, from, strlen(from)))
	{
		free(text);
		return false;
	}
	free(*string);
	*string = text;
	return true;
}

/* Fill in a document, keys included. */
static bool
expand(Build *build, cJSON *item)
{
	const char *key = build->key;
	cJSON	   *child;

	if (item->string != NULL)
	{
		if (!expand_text(build, &item->string))
			return false;
		build->key = item->string;
	}
	if (cJSON_IsString(item) && !expand_text(build, &item->valuestring))
		return false;
	cJSON_ArrayForEach(child, item)
	{
		if (!expand(build, child))
			return false;
	}
	build->key = key;
	return true;
}

/* ---- checks ---- */

typedef enum Type
{
	TYPE_TEXT,
	TYPE_TEXTS,
	TYPE_COMMAND,				/* a string or an array of them */
	TYPE_FLAG,
	TYPE_NUMBER,
	TYPE_OBJECT,
	TYPE_TEXT_OBJECT			/* whose values are strings */
} Type;

typedef struct Rule
{
	const char *key;
	Type		type;
} Rule;

/*
 * Keys that we look at, or that are so common that a mistake is better told at
 * registration than by the Engine days later.
 */
static const Rule body_rules[] = {
	{"name", TYPE_TEXT}, {"aliases", TYPE_TEXTS}, {"Image", TYPE_TEXT},
	{"Cmd", TYPE_COMMAND}, {"Entrypoint", TYPE_COMMAND}, {"Env", TYPE_TEXTS},
	{"Labels", TYPE_TEXT_OBJECT}, {"HostConfig", TYPE_OBJECT},
	{"NetworkingConfig", TYPE_OBJECT}, {"Healthcheck", TYPE_OBJECT},
	{"StopTimeout", TYPE_NUMBER}, {"StopSignal", TYPE_TEXT}, {"User", TYPE_TEXT},
	{"WorkingDir", TYPE_TEXT}, {"Hostname", TYPE_TEXT}, {"Domainname", TYPE_TEXT},
	{"Tty", TYPE_FLAG}, {"OpenStdin", TYPE_FLAG}, {"Volumes", TYPE_OBJECT},
	{"ExposedPorts", TYPE_OBJECT}, {NULL, TYPE_OBJECT}
};
static const Rule host_rules[] = {
	{"NetworkMode", TYPE_TEXT}, {"RestartPolicy", TYPE_OBJECT}, {"AutoRemove", TYPE_FLAG},
	{"Binds", TYPE_TEXTS}, {"PortBindings", TYPE_OBJECT}, {"Memory", TYPE_NUMBER},
	{"ShmSize", TYPE_NUMBER}, {"Init", TYPE_FLAG}, {"Privileged", TYPE_FLAG},
	{"GroupAdd", TYPE_TEXTS}, {"CapAdd", TYPE_TEXTS}, {"CapDrop", TYPE_TEXTS},
	{"ExtraHosts", TYPE_TEXTS}, {"LogConfig", TYPE_OBJECT}, {NULL, TYPE_OBJECT}
};
static const Rule restart_rules[] = {{"Name", TYPE_TEXT}, {NULL, TYPE_OBJECT}};
static const Rule networking_rules[] = {{"EndpointsConfig", TYPE_OBJECT}, {NULL, TYPE_OBJECT}};
static const Rule endpoint_rules[] = {{"Aliases", TYPE_TEXTS}, {NULL, TYPE_OBJECT}};
static const Rule health_rules[] = {{"Test", TYPE_TEXTS}, {NULL, TYPE_OBJECT}};

static bool
all_texts(const cJSON *items)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, items)
	{
		if (!cJSON_IsString(item))
			return false;
	}
	return true;
}

/* Labels can be deleted one by one. */
static bool
all_texts_or_null(const cJSON *items)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, items)
	{
		if (!cJSON_IsString(item) && !cJSON_IsNull(item))
			return false;
	}
	return true;
}

/* NULL if item has the type, else the type in words. */
static const char *
mistyped(const cJSON *item, Type type)
{
	switch (type)
	{
		case TYPE_TEXT:
			return cJSON_IsString(item) ? NULL : "a string";
		case TYPE_TEXTS:
			return cJSON_IsArray(item) && all_texts(item) ? NULL : "an array of strings";
		case TYPE_COMMAND:
			return cJSON_IsString(item) || (cJSON_IsArray(item) && all_texts(item)) ? NULL :
				"a string or an array of strings";
		case TYPE_FLAG:
			return cJSON_IsBool(item) ? NULL : "true or false";
		case TYPE_NUMBER:
			return cJSON_IsRaw(item) ? NULL : "a number";
		case TYPE_TEXT_OBJECT:
			return cJSON_IsObject(item) && all_texts_or_null(item) ? NULL : "an object of strings";
		default:
			return cJSON_IsObject(item) ? NULL : "an object";
	}
}

/*
 * Check the keys of one object.  The Engine reads keys without regard to case,
 * so one that is spelled otherwise would pass by everything that we look at.
 */
static bool
check_rules(Build *build, const cJSON *object, const Rule *rules)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, object)
	{
		for (const Rule *rule = rules; rule->key != NULL; rule++)
		{
			const char *wanted;

			if (strcasecmp(item->string, rule->key) != 0)
				continue;
			if (strcmp(item->string, rule->key) != 0)
				return fail(build, INVALID, "", "%s: the key \"%s\" must be written \"%s\"",
							build->where, show(item->string).text, rule->key);
			wanted = cJSON_IsNull(item) ? NULL : mistyped(item, rule->type);
			if (wanted != NULL)
				return fail(build, INVALID, "", "%s: \"%s\" must be %s",
							build->where, rule->key, wanted);
		}
	}
	return true;
}

/* No object may be huge or have a key twice (placeholders can make that). */
static bool
check_keys(Build *build, const cJSON *item)
{
	const cJSON *child;
	int			count = 0;

	cJSON_ArrayForEach(child, item)
	{
		if (cJSON_IsObject(item))
		{
			if (++count > KEYS_MAX)
				return fail(build, TOO_LARGE, "", "%s holds an object with more than %d keys",
							build->where, KEYS_MAX);
			if (doc_get(item, child->string) != child)
				return fail(build, INVALID, "", "%s: the key \"%s\" is there twice",
							build->where, show(child->string).text);
		}
		if (!check_keys(build, child))
			return false;
	}
	return true;
}

static bool
check_endpoints(Build *build, const cJSON *endpoints)
{
	const cJSON *endpoint;

	cJSON_ArrayForEach(endpoint, endpoints)
	{
		if (!cJSON_IsObject(endpoint) && !cJSON_IsNull(endpoint))
			return fail(build, INVALID, "", "%s: \"EndpointsConfig\" must be an object of objects",
						build->where);
		if (!check_rules(build, endpoint, endpoint_rules))
			return false;
	}
	return true;
}

static bool
check_labels(Build *build, const cJSON *labels)
{
	const cJSON *label;

	cJSON_ArrayForEach(label, labels)
	{
		if (strncmp(label->string, LABEL_PREFIX, strlen(LABEL_PREFIX)) == 0)
			return fail(build, INVALID, "Labels that begin with io.hafstack. are set by hafstack.",
						"%s: the label \"%s\" is reserved", build->where, show(label->string).text);
	}
	return true;
}

/* Check a document, filled in, before it is laid over others. */
static bool
check_document(Build *build, const cJSON *object)
{
	const cJSON *host = doc_get(object, "HostConfig");
	const cJSON *networking = doc_get(object, "NetworkingConfig");

	return check_keys(build, object) &&
		check_rules(build, object, body_rules) &&
		check_rules(build, host, host_rules) &&
		check_rules(build, doc_get(host, "RestartPolicy"), restart_rules) &&
		check_rules(build, networking, networking_rules) &&
		check_endpoints(build, doc_get(networking, "EndpointsConfig")) &&
		check_rules(build, doc_get(object, "Healthcheck"), health_rules);
}

/* Restarting and removing are our work alone. */
static bool
check_lifecycle(Build *build, const cJSON *object)
{
	const cJSON *host = doc_get(object, "HostConfig");
	const char *restart = doc_text(doc_get(host, "RestartPolicy"), "Name");

	if (restart != NULL && restart[0] != '\0' && strcmp(restart, "no") != 0)
		return fail(build, INVALID,
					"hafstack restarts containers by itself; leave RestartPolicy out.",
					"%s: HostConfig.RestartPolicy must be \"no\"", build->where);
	if (cJSON_IsTrue(doc_get(host, "AutoRemove")))
		return fail(build, INVALID,
					"hafstack removes a container once its exit code and log are stored; leave AutoRemove out.",
					"%s: HostConfig.AutoRemove must not be true", build->where);
	return true;
}

static bool
is_container_name(const char *name, size_t longest)
{
	size_t		length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

	return name[length] == '\0' && length >= 2 && length <= longest &&
		isalnum((unsigned char) name[0]);
}

bool
spec_name_valid(const char *name)
{
	return is_container_name(name, 62);
}

static bool
check_image(Build *build, const char *image)
{
	size_t		length;

	if (image == NULL)
		return fail(build, INVALID, "Give \"Image\" in the spec, or the argument image.",
					"%s names no image", build->where);
	length = strspn(image, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-:/@[]");
	if (length == 0 || length > 512 || image[length] != '\0' ||
		!(isalnum((unsigned char) image[0]) || image[0] == '['))
		return fail(build, INVALID, "", "%s: \"%s\" is not the name of an image",
					build->where, show(image).text);
	return true;
}

/* ---- the forms of a role ---- */

static bool
is_haf(const Build *build)
{
	return build->context->app == NULL;
}

static bool
check_role(Build *build)
{
	static const char *const apps[] = {"index", "setup", "sync", "live_sync", "api", NULL};
	static const char *const hafs[] = {"instance", "live_sync", "recovery", "handoff", NULL};

	for (const char *const *role = is_haf(build) ? hafs : apps; *role != NULL; role++)
		if (strcmp(build->role, *role) == 0)
			return true;
	return fail(build, INVALID, "", "there is no %s", build->where);
}

/* The script of the convention for true, NULL where there is none. */
static const char *
convention_script(const Build *build)
{
	if (strcmp(build->role, "index") == 0)
		return SPEC_INDEX_SCRIPT;
	if (strcmp(build->role, "setup") == 0)
		return SPEC_SCRIPTS "setup_db.sh";
	if (strcmp(build->role, "live_sync") == 0)
		return SPEC_SCRIPTS "wait_for_app_live_sync.sh";
	return NULL;
}

static bool
need(Build *build, const char *value, const char *setting)
{
	char		hint[128];

	if (value != NULL && value[0] != '\0')
		return true;
	snprintf(hint, sizeof(hint), "Set it with %s.", setting);
	return fail(build, INVALID, hint, "%s: true needs the setting that is missing", build->where);
}

static bool
put_app_root(Build *build, cJSON *object)
{
	static const char *const binds[] = {"{{app_root}}:/haf_app_root:ro"};
	const char *root = build->context->app_root;
	cJSON	   *host;

	if (!need(build, root, "alter_app(app_root => ...)"))
		return false;
	if (root[0] != '/' || strchr(root, ':') != NULL)
		return fail(build, INVALID, "It is a directory of the Docker host.",
					"%s: app_root must be an absolute path without a colon", build->where);
	host = get_or_put_object(build, object, "HostConfig");
	return host != NULL && put_texts(build, host, "Binds", binds, 1);
}

/*
 * HAF's live_sync: psql until HAF is live.  The URL comes by the environment, as
 * it is nothing for a shell to read.  Ended by a signal it does not exit 0.
 */
static bool
haf_live_sync_convention(Build *build, cJSON *object)
{
	static const char *const shell[] = {"/bin/sh", "-c"};
	static const char *const command[] = {
		"trap 'exit 143' TERM; trap 'exit 130' INT; "
		"until [ \"$(psql -XAtq -c 'SELECT state::text FROM hafd.hive_state' "
		"\"$HAFSTACK_POSTGRES_URL\")\" = LIVE ]; do sleep 1; done"
	};
	static const char *const environment[] = {
		"HAFSTACK_POSTGRES_URL={{postgres_url}}", "PGCONNECT_TIMEOUT=10"
	};

	return need(build, build->context->helper_image, "configure(helper_image => ...)") &&
		put_text(build, object, "Image", build->context->helper_image) &&
		put_texts(build, object, "Entrypoint", shell, 2) &&
		put_texts(build, object, "Cmd", command, 1) &&
		put_texts(build, object, "Env", environment, 2);
}

/* HAF's own image builds the indexes over its own data directory. */
static bool
bundled_index_convention(Build *build, cJSON *object)
{
	static const char *const command[] = {SPEC_MAINTENANCE_OPTION "=" SPEC_INDEX_SCRIPT};

	const char *image = build->context->haf_image;

	return (image == NULL || put_text(build, object, "Image", image)) &&
		put_texts(build, object, "Cmd", command, 1) &&
		put_app_root(build, object);
}

static bool
script_convention(Build *build, cJSON *object, const char *script)
{
	static const char *const command[] = {"--postgres-url={{postgres_url}}"};

	return need(build, build->context->helper_image, "configure(helper_image => ...)") &&
		put_text(build, object, "Image", build->context->helper_image) &&
		put_texts(build, object, "Entrypoint", &script, 1) &&
		put_texts(build, object, "Cmd", command, 1) &&
		put_app_root(build, object);
}

/* What true stands for, into an empty object. */
static bool
convention(Build *build, cJSON *object)
{
	const char *script = convention_script(build);

	if (script == NULL)
		return fail(build, INVALID,
					"true is for index, setup and live_sync; write an image or an object.",
					"%s: there is no convention that true could stand for", build->where);
	if (is_haf(build))
		return haf_live_sync_convention(build, object);
	if (build->context->bundled && strcmp(build->role, "index") == 0)
		return bundled_index_convention(build, object);
	return script_convention(build, object, script);
}

bool
spec_is_cloned(const SpecContext *context, const char *role)
{
	static const char *const of_haf[] = {"instance", "recovery", "handoff"};

	if (!context->bundled)
		return false;
	if (context->app != NULL)
		return strcmp(role, "index") == 0;
	for (size_t i = 0; i < sizeof(of_haf) / sizeof(of_haf[0]); i++)
		if (strcmp(role, of_haf[i]) == 0)
			return true;
	return false;
}

/* The image of a spec that names none. */
static const char *
default_image(const Build *build)
{
	const SpecContext *context = build->context;

	if (spec_is_cloned(context, build->role))
		return strcmp(build->role, "handoff") == 0 ? NULL : context->haf_image;
	if (!is_haf(build) || context->image != NULL)
		return context->image;
	return strcmp(build->role, "instance") == 0 ? context->haf_image : context->helper_image;
}

/* An entry of a role, whatever its form, as an object of its own. */
static cJSON *
entry_object(Build *build, const cJSON *entry)
{
	const char *image = default_image(build);
	cJSON	   *object = cJSON_IsObject(entry) ? cJSON_Duplicate(entry, true) : cJSON_CreateObject();
	bool		good = true;

	if (object == NULL)
	{
		out_of_memory(build);
		return NULL;
	}
	if (cJSON_IsString(entry))
		good = put_text(build, object, "Image", entry->valuestring);
	else if (cJSON_IsTrue(entry))
		good = convention(build, object);
	else if (doc_get(object, "Image") == NULL && image != NULL)
		good = put_text(build, object, "Image", image);
	if (!good)
	{
		cJSON_Delete(object);
		return NULL;
	}
	return object;
}

/* May an entry be given in this form? */
static bool
check_entry(Build *build, const cJSON *entry)
{
	if (cJSON_IsTrue(entry) && convention_script(build) == NULL)
		return convention(build, NULL);
	if (cJSON_IsTrue(entry) || cJSON_IsString(entry) || cJSON_IsObject(entry))
		return true;
	return fail(build, INVALID,
				"Write null, true, an image, an object, or an array of those.",
				"%s: a container must be given as a string or an object", build->where);
}

/* Number of containers of a role that is not null; -1: an error. */
static int
count_entries(Build *build, const cJSON *role)
{
	const cJSON *entry;
	int			count = 0;

	if (!cJSON_IsArray(role))
		return check_entry(build, role) ? 1 : -1;
	cJSON_ArrayForEach(entry, role)
	{
		if (!check_entry(build, entry))
			return -1;
		count++;
	}
	if (count == 0)
	{
		fail(build, INVALID, "null means none.", "%s: the array is empty", build->where);
		return -1;
	}
	if (count > SPEC_MAX_CONTAINERS)
	{
		fail(build, TOO_LARGE, "", "%s has more than %d containers",
			 build->where, SPEC_MAX_CONTAINERS);
		return -1;
	}
	return count;
}

static const cJSON *
entry_at(const cJSON *role, int ordinal)
{
	return cJSON_IsArray(role) ? cJSON_GetArrayItem(role, ordinal - 1) : role;
}

/* ---- names ---- */

/* "<first>-<role>", with "-<n>" where the role has several. */
static char *
composed_name(Build *build, const char *first, int ordinal, int count)
{
	const char *role = strcmp(build->role, "live_sync") == 0 ? "live-sync" : build->role;
	char	   *name = NULL;
	int			length;

	if (count > 1)
		length = asprintf(&name, "%s-%s-%d", first, role, ordinal);
	else
		length = asprintf(&name, "%s-%s", first, role);
	if (length < 0)
	{
		out_of_memory(build);
		return NULL;
	}
	return name;
}

static char *
given_name(Build *build, const char *given)
{
	char	   *name = copy_value(build, given);

	if (name != NULL && !expand_text(build, &name))
	{
		free(name);
		return NULL;
	}
	if (name != NULL && !is_container_name(name, NAME_MAX_BYTES))
	{
		fail(build, BAD_NAME,
			 "Two or more of letters, digits, \"_\", \".\" and \"-\", the first a letter or digit.",
			 "%s: \"%s\" is not a valid container name", build->where, show(name).text);
		free(name);
		return NULL;
	}
	return name;
}

static char *
container_name(Build *build, const cJSON *entry, int ordinal, int count)
{
	const SpecContext *context = build->context;
	const char *given = doc_text(entry, "name");
	char	   *first = NULL;
	char	   *name;

	if (given != NULL)
		return given_name(build, given);
	if (is_haf(build))
		return composed_name(build, context->stack_name, ordinal, count);
	if (asprintf(&first, "%s-%s", context->stack_name, context->app) < 0)
	{
		out_of_memory(build);
		return NULL;
	}
	name = composed_name(build, first, ordinal, count);
	free(first);
	return name;
}

/* The name of one container, which no other of the role may bear. */
static char *
unique_name(Build *build, const cJSON *role, int ordinal, int count)
{
	char	   *name = container_name(build, entry_at(role, ordinal), ordinal, count);

	for (int other = 1; name != NULL && other <= count; other++)
	{
		char	   *theirs;

		if (other == ordinal)
			continue;
		theirs = container_name(build, entry_at(role, other), other, count);
		if (theirs != NULL && strcmp(name, theirs) != 0)
		{
			free(theirs);
			continue;
		}
		if (theirs != NULL)
			fail(build, INVALID, "", "%s: two containers are named \"%s\"",
				 build->where, show(name).text);
		free(theirs);
		free(name);
		name = NULL;
	}
	return name;
}

/* ---- network ---- */

bool
spec_is_user_network(const char *network)
{
	return network != NULL && network[0] != '\0' && strcmp(network, "host") != 0 &&
		strcmp(network, "none") != 0 && strcmp(network, "bridge") != 0 &&
		strcmp(network, "default") != 0 && strncmp(network, "container:", 10) != 0;
}

/* What lies under everything: the stack's network. */
static bool
put_network(Build *build, cJSON *body)
{
	const char *network = build->context->network;
	cJSON	   *host;

	if (network == NULL || network[0] == '\0' || build->context->base != NULL)
		return true;
	host = get_or_put_object(build, body, "HostConfig");
	return host != NULL && put_text(build, host, "NetworkMode", network);
}

/*
 * The network that the container is for.  An endpoint in the operator's own
 * NetworkingConfig names it too, unless NetworkMode is the operator's own.
 */
static bool
settle_network(Build *build, cJSON *body, bool own_mode, const char **network)
{
	const cJSON *endpoints = doc_get(doc_get(body, "NetworkingConfig"), "EndpointsConfig");
	cJSON	   *host = doc_get(body, "HostConfig");

	*network = doc_text(host, "NetworkMode");
	if (endpoints == NULL || endpoints->child == NULL || (own_mode && *network != NULL) ||
		(*network != NULL && doc_get(endpoints, *network) != NULL))
		return true;
	host = get_or_put_object(build, body, "HostConfig");
	if (host == NULL || !put_text(build, host, "NetworkMode", endpoints->child->string))
		return false;
	*network = doc_text(host, "NetworkMode");
	return true;
}

static bool
add_alias(Build *build, cJSON *aliases, const char *alias)
{
	if (alias[0] == '\0' || strspn(alias, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != strlen(alias))
		return fail(build, BAD_NAME, "", "%s: \"%s\" is not a valid alias",
					build->where, show(alias).text);
	return doc_add_text(aliases, alias) || out_of_memory(build);
}

/* The endpoint's aliases: those it has, else the default one; and more. */
static bool
put_aliases(Build *build, cJSON *endpoint, const cJSON *more, int ordinal, int count)
{
	const char *app = build->context->app != NULL ? build->context->app : "haf";
	const cJSON *item;
	cJSON	   *aliases;
	char	   *alias;
	bool		good;

	if (!cJSON_IsArray(doc_get(endpoint, "Aliases")))
	{
		if (!put(build, endpoint, "Aliases", cJSON_CreateArray()))
			return false;
		alias = composed_name(build, app, ordinal, count);
		good = alias != NULL && add_alias(build, doc_get(endpoint, "Aliases"), alias);
		free(alias);
		if (!good)
			return false;
	}
	aliases = doc_get(endpoint, "Aliases");
	cJSON_ArrayForEach(item, more)
	{
		if (!add_alias(build, aliases, item->valuestring))
			return false;
	}
	return true;
}

static bool
join_network(Build *build, cJSON *body, const char *network, const cJSON *more,
			 int ordinal, int count)
{
	cJSON	   *networking;
	cJSON	   *endpoints;
	cJSON	   *endpoint;

	if (!spec_is_user_network(network))
	{
		if (more == NULL || more->child == NULL)
			return true;
		return fail(build, INVALID,
					"Set configure(network => ...), or HostConfig.NetworkMode in the spec.",
					"%s: aliases need a network of your own, not the default, \"bridge\", \"host\" or \"none\"",
					build->where);
	}
	networking = get_or_put_object(build, body, "NetworkingConfig");
	if (networking == NULL)
		return false;
	endpoints = get_or_put_object(build, networking, "EndpointsConfig");
	if (endpoints == NULL)
		return false;
	endpoint = get_or_put_object(build, endpoints, network);
	return endpoint != NULL && put_aliases(build, endpoint, more, ordinal, count);
}

/* ---- the body ---- */

static bool
put_number_label(Build *build, cJSON *labels, const char *key, int64_t number)
{
	char		text[32];

	snprintf(text, sizeof(text), "%" PRId64, number);
	return put_text(build, labels, key, text);
}

static bool
put_labels(Build *build, cJSON *body, const SpecLabels *ours, int ordinal)
{
	static const SpecLabels only_check = {.stack_id = ""};
	const SpecContext *context = build->context;
	cJSON	   *labels = get_or_put_object(build, body, "Labels");

	if (ours == NULL)
		ours = &only_check;
	return labels != NULL &&
		put_text(build, labels, LABEL_PREFIX "id", ours->stack_id) &&
		put_text(build, labels, LABEL_PREFIX "stack", context->stack_name) &&
		put_text(build, labels, LABEL_PREFIX "app", context->app != NULL ? context->app : "") &&
		put_text(build, labels, LABEL_PREFIX "role", build->role) &&
		put_number_label(build, labels, LABEL_PREFIX "ordinal", ordinal) &&
		put_number_label(build, labels, LABEL_PREFIX "run", ours->run) &&
		put_number_label(build, labels, LABEL_PREFIX "attempt", ours->attempt);
}

static bool
put_restart_policy(Build *build, cJSON *body)
{
	const SpecContext *context = build->context;
	cJSON	   *host = get_or_put_object(build, body, "HostConfig");
	cJSON	   *policy;

	if (host == NULL || !put(build, host, "RestartPolicy", cJSON_CreateObject()))
		return false;
	policy = doc_get(host, "RestartPolicy");
	return put_text(build, policy, "Name", context->restart_policy != NULL ? context->restart_policy : "no") &&
		(context->restart_retries == 0 ||
		 put(build, policy, "MaximumRetryCount", cJSON_CreateNumber(context->restart_retries)));
}

/* ---- the chain of the bundled topology ---- */

/* "source:target[:options]", target only. */
static bool
bind_is_at(const char *bind, const char *target)
{
	const char *at = strchr(bind, ':');
	size_t		length = strlen(target);

	return at != NULL && strncmp(at + 1, target, length) == 0 &&
		(at[1 + length] == '\0' || at[1 + length] == ':');
}

static bool
is_mounted(const cJSON *host, const char *target)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, doc_get(host, "Binds"))
	{
		if (bind_is_at(item->valuestring, target))
			return true;
	}
	cJSON_ArrayForEach(item, doc_get(host, "Mounts"))
	{
		const char *other = doc_text(item, "Target");

		if (other != NULL && strcmp(other, target) == 0)
			return true;
	}
	return false;
}

static bool
has_variable(const cJSON *env, const char *variable)
{
	size_t		length = strcspn(variable, "=");
	const cJSON *item;

	cJSON_ArrayForEach(item, env)
	{
		if (strncmp(item->valuestring, variable, length) == 0 &&
			(item->valuestring[length] == '=' || item->valuestring[length] == '\0'))
			return true;
	}
	return false;
}

/*
 * Arrays replace, but a link of the chain without the mounts of the one before
 * would be a server over another data directory, and without its environment a
 * server that lets others in.  So what the spec says of these is added.
 */
static bool
add_from_base(Build *build, cJSON *body, cJSON *mounts, cJSON *env)
{
	cJSON	   *host = get_or_put_object(build, body, "HostConfig");
	cJSON	   *item;

	if (host == NULL ||
		(doc_get(host, "Mounts") == NULL && !put(build, host, "Mounts", cJSON_CreateArray())) ||
		(doc_get(body, "Env") == NULL && !put(build, body, "Env", cJSON_CreateArray())))
		return false;
	while ((item = cJSON_DetachItemFromArray(mounts, 0)) != NULL)
	{
		const char *target = doc_text(item, "Target");

		if (target == NULL || is_mounted(host, target))
			cJSON_Delete(item);
		else
			cJSON_AddItemToArray(doc_get(host, "Mounts"), item);
	}
	while ((item = cJSON_DetachItemFromArray(env, 0)) != NULL)
	{
		if (!cJSON_IsString(item) || has_variable(doc_get(body, "Env"), item->valuestring))
			cJSON_Delete(item);
		else
			cJSON_AddItemToArray(doc_get(body, "Env"), item);
	}
	return true;
}

/*
 * Seconds that it has to stop in.  Each container bears its own, so that it can
 * still be stopped in good order when its spec is another by then, or gone.
 */
static bool
settle_stop_timeout(Build *build, cJSON *body)
{
	const cJSON *item = doc_get(body, "StopTimeout");
	bool		instance = is_haf(build) && strcmp(build->role, "instance") == 0;
	size_t		length;

	if (item == NULL)
		return put(build, body, "StopTimeout", cJSON_CreateNumber(instance ? SPEC_HAF_STOP_TIMEOUT_S : SPEC_STOP_TIMEOUT_S));
	length = strspn(item->valuestring, "0123456789");
	if (length == 0 || length > 6 || item->valuestring[length] != '\0' ||
		atoi(item->valuestring) > SPEC_STOP_TIMEOUT_MAX_S)
		return fail(build, INVALID, "", "%s: \"StopTimeout\" must be a number of seconds from 0 to %d",
					build->where, SPEC_STOP_TIMEOUT_MAX_S);
	return true;
}

/* Parse defaults or vars of the context: an object, or NULL for none. */
static bool
parse_setting(Build *build, const char *what, const char *text, cJSON **to)
{
	char		where[sizeof(build->where)];
	cJSON	   *json;
	bool		good = true;

	*to = NULL;
	if (text == NULL)
		return true;
	memcpy(where, build->where, sizeof(where));
	snprintf(build->where, sizeof(build->where), "%s", what);
	json = parse(build, text);
	if (json == NULL)
		return false;
	if (cJSON_IsNull(json))
	{
		cJSON_Delete(json);
		json = NULL;
	}
	else if (!cJSON_IsObject(json))
		good = fail(build, INVALID, "", "%s must be an object", what);
	memcpy(build->where, where, sizeof(where));
	*to = json;
	return good;
}

/* Fill in and check a document, and lay it over the body. */
static bool
lay_over(Build *build, cJSON *body, cJSON *document)
{
	build->room = SPEC_MAX_BYTES;
	return document == NULL ||
		(expand(build, document) && check_document(build, document) &&
		 check_labels(build, doc_get(document, "Labels")) && merge(build, body, document));
}

static bool
names_mode(const cJSON *document)
{
	return doc_text(doc_get(document, "HostConfig"), "NetworkMode") != NULL;
}

/* Is the NetworkMode the operator's own, and not outdone by an endpoint of the spec? */
static bool
has_own_mode(const cJSON *defaults, const cJSON *spec)
{
	return names_mode(spec) ||
		(names_mode(defaults) && doc_get(doc_get(spec, "NetworkingConfig"), "EndpointsConfig") == NULL);
}

/*
 * What the container is cloned from.  It is the Engine's account, and no more to
 * be trusted than a spec; only labels of ours may be on it.
 */
static bool
lay_base(Build *build, cJSON *body)
{
	cJSON	   *base;
	bool		good = parse_setting(build, "the container to be cloned", build->context->base, &base) &&
		check_document(build, base) && merge(build, body, base);

	cJSON_Delete(base);
	return good;
}

/* Lay the spec over the body: for a link of the chain over its base, else over the defaults. */
static bool
lay_spec(Build *build, cJSON *body, cJSON *defaults, cJSON *spec)
{
	cJSON	   *mounts;
	cJSON	   *env;
	bool		good;

	if (build->context->base == NULL)
		return put_network(build, body) && lay_over(build, body, defaults) && lay_over(build, body, spec);
	if (!lay_base(build, body))
		return false;
	mounts = cJSON_DetachItemFromObjectCaseSensitive(doc_get(body, "HostConfig"), "Mounts");
	env = cJSON_DetachItemFromObjectCaseSensitive(body, "Env");
	good = lay_over(build, body, spec) && add_from_base(build, body, mounts, env);
	cJSON_Delete(mounts);
	cJSON_Delete(env);
	return good;
}

/* While a link of the chain is only checked, its image may not be known yet. */
static bool
settle_image(Build *build, cJSON *body)
{
	if (doc_text(body, "Image") == NULL && build->context->base == NULL &&
		spec_is_cloned(build->context, build->role))
		return put_text(build, body, "Image", "");
	return check_image(build, doc_text(body, "Image"));
}

/* Everything on the body once defaults and spec are on it. */
static bool
finish_body(Build *build, cJSON *body, bool own_mode, int ordinal, int count,
			const SpecLabels *labels, SpecContainer *out)
{
	cJSON	   *aliases = cJSON_DetachItemFromObjectCaseSensitive(body, "aliases");
	const char *network = NULL;
	bool		good;

	cJSON_DeleteItemFromObjectCaseSensitive(body, "name");
	good = check_lifecycle(build, body) &&
		settle_image(build, body) &&
		settle_stop_timeout(build, body) &&
		settle_network(build, body, own_mode, &network) &&
		join_network(build, body, network, aliases, ordinal, count) &&
		put_restart_policy(build, body) &&
		put_labels(build, body, labels, ordinal);
	cJSON_Delete(aliases);
	if (!good)
		return false;
	out->image = strdup(doc_text(body, "Image"));
	if (spec_is_user_network(network))
		out->network = strdup(network);
	out->body = cJSON_PrintUnformatted(body);
	if (out->image == NULL || out->body == NULL || (spec_is_user_network(network) && out->network == NULL))
		return out_of_memory(build);
	return true;
}

static bool
build_container(Build *build, const cJSON *role, int ordinal, int count,
				const SpecLabels *labels, SpecContainer *out)
{
	cJSON	   *defaults = NULL;
	cJSON	   *body = NULL;
	cJSON	   *spec = NULL;
	bool		good;

	good = parse_setting(build, "vars", build->context->vars, &build->vars) &&
		parse_setting(build, "defaults", build->context->defaults, &defaults);
	if (good)
	{
		build->room = SPEC_MAX_BYTES;
		out->name = unique_name(build, role, ordinal, count);
		good = out->name != NULL;
	}
	if (good)
	{
		body = cJSON_CreateObject();
		good = body != NULL || out_of_memory(build);
	}
	if (good)
	{
		spec = entry_object(build, entry_at(role, ordinal));
		good = spec != NULL;
	}
	good = good && lay_spec(build, body, defaults, spec) &&
		finish_body(build, body, has_own_mode(defaults, spec), ordinal, count, labels, out);
	cJSON_Delete(defaults);
	cJSON_Delete(spec);
	cJSON_Delete(body);
	cJSON_Delete(build->vars);
	return good;
}

/* ---- entry points ---- */

/* Parse a role that may be absent: 0 containers then, and *json is NULL. */
static int
parse_role(Build *build, const char *spec, cJSON **json)
{
	int			count = 0;

	*json = NULL;
	if (!check_role(build))
		return -1;
	if (spec == NULL)
		return 0;
	*json = parse(build, spec);
	if (*json == NULL)
		return -1;
	if (!cJSON_IsNull(*json))
		count = count_entries(build, *json);
	return count;
}

int
spec_count(const SpecContext *context, const char *role, const char *spec, SpecError *error)
{
	Build		build;
	cJSON	   *json;
	int			count;

	build_init(&build, context, role, error);
	count = parse_role(&build, spec, &json);
	cJSON_Delete(json);
	return count;
}

bool
spec_build(const SpecContext *context, const char *role, const char *spec, int ordinal,
		   const SpecLabels *labels, SpecContainer *out, SpecError *error)
{
	Build		build;
	cJSON	   *json;
	int			count;
	bool		good = false;

	memset(out, 0, sizeof(*out));
	build_init(&build, context, role, error);
	count = parse_role(&build, spec, &json);
	if (count >= 0 && (ordinal < 1 || ordinal > count))
		fail(&build, INVALID, "", "%s has no container %d", build.where, ordinal);
	else if (count > 0)
		good = build_container(&build, json, ordinal, count, labels, out);
	cJSON_Delete(json);
	if (!good)
		spec_free(out);
	return good;
}

void
spec_free(SpecContainer *container)
{
	free(container->name);
	free(container->image);
	free(container->network);
	cJSON_free(container->body);
	memset(container, 0, sizeof(*container));
}

bool
spec_check_defaults(const char *defaults, SpecError *error)
{
	Build		build;
	cJSON	   *json;
	bool		good;

	build_init(&build, NULL, "defaults", error);
	good = parse_setting(&build, "defaults", defaults, &json) &&
		check_document(&build, json) && check_labels(&build, doc_get(json, "Labels")) &&
		check_lifecycle(&build, json);
	if (good && doc_get(json, "name") != NULL)
		good = fail(&build, INVALID, "Give it in the spec of a role.",
					"defaults cannot hold \"name\": every container needs its own");
	cJSON_Delete(json);
	return good;
}

bool
spec_check_vars(const char *vars, SpecError *error)
{
	Build		build;
	cJSON	   *json;
	const cJSON *item;
	bool		good;

	build_init(&build, NULL, "vars", error);
	good = parse_setting(&build, "vars", vars, &json) && check_keys(&build, json);
	cJSON_ArrayForEach(item, json)
	{
		if (!good)
			break;
		if (!is_placeholder(item->string))
			good = fail(&build, BAD_NAME,
						"Up to 63 letters, digits, \"_\", \".\" and \"-\", the first a letter or \"_\".",
						"vars: \"%s\" cannot be the name of a placeholder", show(item->string).text);
		else if (is_builtin(item->string))
			good = fail(&build, INVALID, "", "vars: {{%s}} is hafstack's own", item->string);
		else if (!cJSON_IsString(item) && !cJSON_IsRaw(item) && !cJSON_IsBool(item))
			good = fail(&build, INVALID, "", "vars: \"%s\" must be a string, a number or a boolean",
						item->string);
	}
	cJSON_Delete(json);
	return good;
}
