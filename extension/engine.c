/*
 * engine.c
 *		Calls of the Docker Engine API, and what its answers mean.
 *
 * Room: see engine.h.  Three floors: texts and JSON as they come (hostile until
 * checked), answers turned into replies, and at the bottom one small function
 * per call.  A reply is allocated together with its call, so that whatever
 * happens, the end of a call can be told.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "engine.h"

#include "http.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define API_MAJOR			1	/* newest version of the API that we know */
#define API_MINOR			47
#define MIB					((size_t) 1024 * 1024)
#define ANSWER_MAX			(4 * MIB)
#define LIST_MAX			(64 * MIB)
#define LINE_MAX_BYTES		MIB /* of a stream */
#define LOG_ANSWER_MAX		(16 * MIB)
#define LOG_TEXT_MAX		MIB
#define JSON_ITEMS_MAX		((size_t) 4 * 1000 * 1000)
#define START_EXTRA_MS		60000L	/* mounting, networking, pulling in of layers */
#define STOP_MOST_S			3600	/* for one whose own time we do not know */
#define PULL_MS				(2L * 60 * 60 * 1000)

typedef struct Call
{
	struct Call *next;
	EngineReply *reply;			/* made beforehand */
	EngineCall	call;
	uint64_t	tag;			/* the user's */
	uint64_t	http_tag;		/* ours, never used twice */
	char		subject[ENGINE_NAME_MAX];	/* the id or name asked for */
	char		version[16];	/* CONNECT: agreed on, /info is asked for */
	char		error[ENGINE_ERROR_MAX];	/* PULL: what the stream complained of */
	bool		malformed;		/* PULL, HISTORY: a line was no JSON */
	bool		created;		/* HISTORY: its creation is remembered */
	bool		started;		/* HISTORY */
	bool		tty;			/* LOGS */
	int			lines;			/* LOGS */
	int64_t		asked_at;		/* CONNECT: by our clock, when /info was asked for */
} Call;

typedef struct LocalReply
{
	EngineReply *reply;
	struct LocalReply *next;
} LocalReply;

struct Engine
{
	Http	   *http;
	char	   *stack_id;		/* NULL: no filter */
	long		timeout_ms;
	uint64_t	last_tag;
	Call	   *calls;
	LocalReply *local;			/* answered without asking the Engine, oldest first */
	char		api_version[16];
	char		identity[128];
	int64_t		clock_offset;	/* microseconds that its clock is ahead of ours, rather too many */
};

/* ---- texts ---- */

/* Length of the valid UTF-8 character at text, 0 if there is none. */
static size_t
utf8_length(const unsigned char *text, size_t left)
{
	static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned	code;
	size_t		length;

	if (text[0] < 0x80)
		return 1;
	length = text[0] >= 0xF0 ? 4 : text[0] >= 0xE0 ? 3 : 2;
	if (text[0] < 0xC2 || text[0] > 0xF4 || length > left)
		return 0;
	code = text[0] & (0x7F >> length);
	for (size_t i = 1; i < length; i++)
	{
		if ((text[i] & 0xC0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3F);
	}
	if (code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
		return 0;
	return length;
}

/* Put '?' for each NUL and each byte that is not UTF-8, in place. */
static void
make_utf8(char *text, size_t length)
{
	for (size_t i = 0; i < length;)
	{
		size_t		step = utf8_length((unsigned char *) text + i, length - i);

		if (step == 0 || text[i] == '\0')
		{
			text[i] = '?';
			step = 1;
		}
		i += step;
	}
}

/* What is not to be shown: length bytes of which the first may be, and then the mask. */
typedef struct Secret
{
	size_t		length;			/* 0: none */
	size_t		shown;
	const char *mask;
} Secret;

/* exec: "command": executable file not found; or: "command": stat command: no such file */
static Secret
secret_command(const char *text, size_t left)
{
	static const char start[] = "exec: \"";
	static const char again[] = "\": stat ";
	const size_t shown = sizeof(start) - 1;
	size_t		end = shown;
	size_t		second;

	if (left < shown || memcmp(text, start, shown) != 0)
		return (Secret) {0};
	while (end < left && text[end] != '"')
		end += text[end] == '\\' ? 2 : 1;
	if (end >= left)
		return (Secret) {left, shown, "..."};
	second = end + sizeof(again) - 1;
	if (second > left || memcmp(text + end, again, sizeof(again) - 1) != 0)
		return (Secret) {end, shown, "..."};
	/* one that had to be quoted is not the same without the quotes */
	if (end - shown > left - second || memcmp(text + shown, text + second, end - shown) != 0)
		return (Secret) {left, shown, "...\""};
	return (Secret) {second + end - shown, shown, "...\""};
}

/* ://user:password@ */
static Secret
secret_in_url(const char *text, size_t left)
{
	const char *colon = NULL;
	const char *at = NULL;

	if (left <= 3 || memcmp(text, "://", 3) != 0)
		return (Secret) {0};
	for (const char *p = text + 3; p < text + left && strchr("/?#\"'`\\<> \t\r\n", *p) == NULL; p++)
	{
		if (*p == '@')
			at = p;
		else if (*p == ':' && colon == NULL)
			colon = p;
	}
	if (at == NULL || colon == NULL || colon > at)
		return (Secret) {0};
	return (Secret) {(size_t) (at - text), (size_t) (colon + 1 - text), "***"};
}

/* password=...; up to a blank, a quote or the end */
static Secret
secret_assigned(const char *text, size_t left)
{
	static const char start[] = "password=";
	size_t		length = sizeof(start) - 1;

	if (left <= length || strncasecmp(text, start, length) != 0)
		return (Secret) {0};
	while (length < left && !isspace((unsigned char) text[length]) && text[length] != '"')
		length++;
	return (Secret) {length, sizeof(start) - 1, "***"};
}

/*
 * Does a secret begin here?  The Engine's errors quote commands and variables,
 * which may hold anything, and whatever else they quote may hold a password.
 */
static Secret
secret_at(const char *text, size_t left)
{
	static const char variable[] = "invalid environment variable: ";
	const size_t shown = sizeof(variable) - 1;

	switch (*text)
	{
		case ':':
			return secret_in_url(text, left);
		case 'e':
			return secret_command(text, left);
		case 'i':
			return left > shown && memcmp(text, variable, shown) == 0 ?
				(Secret) {left, shown, "..."} : (Secret) {0};
		case 'p':
		case 'P':
			return secret_assigned(text, left);
		default:
			return (Secret) {0};
	}
}

/* Copy for people: printable, cut between characters, without secrets. */
static void
copy_words(char *to, size_t size, const char *from, size_t length)
{
	size_t		used = 0;

	for (size_t i = 0; i < length;)
	{
		Secret		secret = secret_at(from + i, length - i);
		size_t		step = utf8_length((const unsigned char *) from + i, length - i);
		size_t		need = secret.length > 0 ? secret.shown + strlen(secret.mask) : step > 0 ? step : 1;

		if (used + need + 1 > size)
			break;
		if (secret.length > 0)
		{
			memcpy(to + used, from + i, secret.shown);
			strcpy(to + used + secret.shown, secret.mask);
			step = secret.length;
		}
		else if (step == 0)
			to[used] = '?';
		else if (step == 1 && ((unsigned char) from[i] < ' ' || from[i] == 0x7F))
			to[used] = ' ';
		else
			memcpy(to + used, from + i, step);
		used += need;
		i += step > 0 ? step : 1;
	}
	while (used > 0 && to[used - 1] == ' ')
		used--;
	to[used] = '\0';
}

/* Percent-encode everything but what RFC 3986 calls unreserved. */
static char *
quote(const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	char	   *quoted = malloc(strlen(text) * 3 + 1);
	char	   *to = quoted;

	if (quoted == NULL)
		return NULL;
	for (const unsigned char *from = (const unsigned char *) text; *from != '\0'; from++)
	{
		if (*from < 0x80 && (isalnum(*from) || strchr("-._~", *from) != NULL))
			*to++ = (char) *from;
		else
		{
			*to++ = '%';
			*to++ = hex[*from >> 4];
			*to++ = hex[*from & 15];
		}
	}
	*to = '\0';
	return quoted;
}

/* Can this be put into a path without turning it into another path? */
static bool
askable(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && name[0] != '/' && strstr(name, "/.") == NULL;
}

/* An id as the Engine gives them out: 12 to 64 hex digits. */
static bool
is_id(const char *text)
{
	size_t		length = strspn(text, "0123456789abcdefABCDEF");

	return text[length] == '\0' && length >= 12 && length < ENGINE_ID_MAX;
}

/* ---- JSON ---- */

/*
 * Parse a whole answer.  The number of items is bounded first: a parsed item
 * needs some forty times the bytes of the shortest written one.
 */
static cJSON *
parse_json(const char *text, size_t length)
{
	size_t		items = 0;

	for (size_t i = 0; i < length; i++)
		items += text[i] == ',' || text[i] == '[' || text[i] == '{';
	if (items > JSON_ITEMS_MAX || memchr(text, '\0', length) != NULL)
		return NULL;
	return cJSON_ParseWithLengthOpts(text, length + 1, NULL, true);
}

/* A member of an object; JSON null counts as absent. */
static const cJSON *
member(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNull(item) ? NULL : item;
}

/*
 * Readers of members.  Each leaves its target alone where the member is absent,
 * and is false where it is there with another type or out of range.
 */
static bool
read_text(const cJSON *object, const char *key, const char **to)
{
	const cJSON *item = member(object, key);

	if (item == NULL)
		return true;
	if (!cJSON_IsString(item))
		return false;
	*to = item->valuestring;
	return true;
}

static bool
read_object(const cJSON *object, const char *key, const cJSON **to)
{
	const cJSON *item = member(object, key);

	if (item == NULL)
		return true;
	if (!cJSON_IsObject(item))
		return false;
	*to = item;
	return true;
}

static bool
read_flag(const cJSON *object, const char *key, bool *to)
{
	const cJSON *item = member(object, key);

	if (item == NULL)
		return true;
	if (!cJSON_IsBool(item))
		return false;
	*to = cJSON_IsTrue(item);
	return true;
}

/* A number times scale, without its fraction. */
static bool
read_number(const cJSON *object, const char *key, double scale, double most, int64_t *to)
{
	const cJSON *item = member(object, key);
	double		value;

	if (item == NULL)
		return true;
	if (!cJSON_IsNumber(item))
		return false;
	value = item->valuedouble * scale;
	if (!(value >= -most && value <= most))
		return false;
	*to = (int64_t) value;
	return true;
}

static bool
digits(const char **text, int count, int *to)
{
	*to = 0;
	for (int i = 0; i < count; i++, (*text)++)
	{
		if (!isdigit((unsigned char) **text))
			return false;
		*to = *to * 10 + (**text - '0');
	}
	return true;
}

static bool
skip(const char **text, char expected)
{
	return *(*text)++ == expected;
}

/* "Z" or "+hh:mm" at the end of a time, in seconds east. */
static bool
parse_zone(const char *text, int64_t *seconds)
{
	int			sign = *text == '-' ? -1 : 1;
	int			hours;
	int			minutes;

	*seconds = 0;
	if (strcmp(text, "Z") == 0)
		return true;
	if (*text != '+' && *text != '-')
		return false;
	text++;
	if (!digits(&text, 2, &hours) || *text++ != ':' || !digits(&text, 2, &minutes) ||
		*text != '\0' || hours > 23 || minutes > 59)
		return false;
	*seconds = (int64_t) sign * (hours * 3600 + minutes * 60);
	return true;
}

/*
 * RFC 3339 with any fraction, to microseconds since 1970.  What lies before
 * 1970 (Docker's "never" is the year 1) is 0.
 */
static bool
parse_time(const char *text, int64_t *to)
{
	static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	int			year, month, day, hour, minute, second;
	int64_t		micros = 0;
	int64_t		days;
	int64_t		east;

	if (!digits(&text, 4, &year) || !skip(&text, '-') || !digits(&text, 2, &month) ||
		!skip(&text, '-') || !digits(&text, 2, &day) || (*text != 'T' && *text != 't'))
		return false;
	text++;
	if (!digits(&text, 2, &hour) || !skip(&text, ':') || !digits(&text, 2, &minute) ||
		!skip(&text, ':') || !digits(&text, 2, &second) || month < 1 || month > 12 ||
		day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
		return false;
	if (*text == '.')
	{
		text++;
		for (int64_t unit = 100000; isdigit((unsigned char) *text); unit /= 10, text++)
			micros += unit * (*text - '0');
	}
	if (!parse_zone(text, &east))
		return false;
	days = (int64_t) (year - 1970) * 365 + before[month - 1] + day - 1;
	/* leap days before this year, and this year's once February is over */
	days += (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 - 477;
	days += month > 2 && ((year % 4 == 0 && year % 100 != 0) || year % 400 == 0);
	*to = (((days * 24 + hour) * 60 + minute) * 60 + second - east) * 1000000 + micros;
	if (*to < 0)
		*to = 0;
	return true;
}

static bool
read_time(const cJSON *object, const char *key, int64_t *to)
{
	const char *text = "";

	if (!read_text(object, key, &text))
		return false;
	return text[0] == '\0' || parse_time(text, to);
}

/* ---- containers ---- */

static bool
label_text(const cJSON *labels, const char *key, char *to, size_t size)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(labels, key);
	size_t		length;

	if (!cJSON_IsString(item))
		return false;
	length = strlen(item->valuestring);
	if (length >= size)
		return false;
	memcpy(to, item->valuestring, length + 1);
	make_utf8(to, length);
	return true;
}

static bool
label_number(const cJSON *labels, const char *key, int64_t most, int64_t *to)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(labels, key);
	const char *text;
	size_t		length;

	if (!cJSON_IsString(item))
		return false;
	text = item->valuestring;
	length = strspn(text, "0123456789");
	if (length == 0 || length > 18 || text[length] != '\0')
		return false;
	*to = strtoll(text, NULL, 10);
	return *to <= most;
}

/* Foreign containers have labels too: what is not ours is not an error. */
static void
parse_labels(const cJSON *labels, EngineLabels *to)
{
	int64_t		ordinal = 0;
	int64_t		attempt = 0;

	to->ours = label_text(labels, "io.hafstack.id", to->stack_id, sizeof(to->stack_id)) &&
		label_text(labels, "io.hafstack.stack", to->stack, sizeof(to->stack)) &&
		label_text(labels, "io.hafstack.app", to->app, sizeof(to->app)) &&
		label_text(labels, "io.hafstack.role", to->role, sizeof(to->role)) &&
		label_number(labels, "io.hafstack.ordinal", INT_MAX, &ordinal) &&
		label_number(labels, "io.hafstack.run", INT64_MAX, &to->run) &&
		label_number(labels, "io.hafstack.attempt", INT_MAX, &attempt) &&
		to->stack_id[0] != '\0' && to->stack[0] != '\0' && to->role[0] != '\0';
	to->ordinal = (int) ordinal;
	to->attempt = (int) attempt;
}

static EngineState
parse_state(const char *text)
{
	static const struct
	{
		const char *text;
		EngineState state;
	}			states[] = {
		{"created", ENGINE_STATE_CREATED},
		{"running", ENGINE_STATE_RUNNING},
		{"paused", ENGINE_STATE_RUNNING},
		{"restarting", ENGINE_STATE_RUNNING},
		{"stopping", ENGINE_STATE_RUNNING},	/* Podman */
		{"exited", ENGINE_STATE_EXITED},
		{"stopped", ENGINE_STATE_EXITED},	/* Podman */
		{"dead", ENGINE_STATE_EXITED},
		{"removing", ENGINE_STATE_EXITED},
	};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(text, states[i].text) == 0)
			return states[i].state;
	return ENGINE_STATE_UNKNOWN;
}

static EngineHealth
parse_health(const char *text)
{
	if (strcmp(text, "healthy") == 0)
		return ENGINE_HEALTH_HEALTHY;
	if (strcmp(text, "unhealthy") == 0)
		return ENGINE_HEALTH_UNHEALTHY;
	if (strcmp(text, "starting") == 0)
		return ENGINE_HEALTH_STARTING;
	return ENGINE_HEALTH_NONE;
}

/* A list tells the health only in words: "Up 2 hours (healthy)". */
static EngineHealth
parse_status_health(const char *text)
{
	if (strstr(text, "(healthy)") != NULL)
		return ENGINE_HEALTH_HEALTHY;
	if (strstr(text, "(unhealthy)") != NULL)
		return ENGINE_HEALTH_UNHEALTHY;
	if (strstr(text, "(health: starting)") != NULL)
		return ENGINE_HEALTH_STARTING;
	return ENGINE_HEALTH_NONE;
}

static bool
copy_id(const char *id, EngineContainer *to)
{
	if (id == NULL || !is_id(id))
		return false;
	strcpy(to->id, id);			/* is_id() has looked at the length */
	return true;
}

static bool
copy_name(const char *name, EngineContainer *to)
{
	if (name[0] == '/')
		name++;
	if (strlen(name) >= sizeof(to->name))
		return false;
	copy_words(to->name, sizeof(to->name), name, strlen(name));
	return true;
}

/* A container's own name among those of a list: links are "/other/alias". */
static bool
parse_names(const cJSON *names, EngineContainer *to)
{
	const cJSON *name;

	if (names == NULL)
		return true;
	if (!cJSON_IsArray(names))
		return false;
	cJSON_ArrayForEach(name, names)
	{
		if (!cJSON_IsString(name) || name->valuestring[0] == '\0')
			return false;
		if (strchr(name->valuestring + 1, '/') == NULL)
			return copy_name(name->valuestring, to);
	}
	return true;
}

static bool
parse_listed(const cJSON *object, EngineContainer *to)
{
	const char *id = NULL;
	const char *state = "";
	const char *status = "";
	const cJSON *labels = NULL;

	if (!cJSON_IsObject(object) || !read_text(object, "Id", &id) || !copy_id(id, to) ||
		!parse_names(member(object, "Names"), to) ||
		!read_object(object, "Labels", &labels) || !read_text(object, "State", &state) ||
		!read_text(object, "Status", &status))
		return false;
	parse_labels(labels, &to->labels);
	to->state = parse_state(state);
	to->health = parse_status_health(status);
	return true;
}

static bool
parse_inspected_state(const cJSON *state, EngineContainer *to)
{
	const char *status = "";
	const char *health_status = "";
	const char *error = "";
	const cJSON *health = NULL;
	int64_t		exit_code = 0;

	if (!read_text(state, "Status", &status) || !read_text(state, "Error", &error) ||
		!read_number(state, "ExitCode", 1, INT_MAX, &exit_code) ||
		!read_flag(state, "OOMKilled", &to->oom_killed) ||
		!read_time(state, "StartedAt", &to->started_at) ||
		!read_time(state, "FinishedAt", &to->finished_at) ||
		!read_object(state, "Health", &health) || !read_text(health, "Status", &health_status))
		return false;
	to->state = parse_state(status);
	to->health = parse_health(health_status);
	to->exit_code = (int) exit_code;
	copy_words(to->error, sizeof(to->error), error, strlen(error));
	return true;
}

static bool
parse_restarts(const cJSON *object, EngineContainer *to)
{
	const cJSON *host = NULL;
	const cJSON *policy = NULL;
	const char *name = "";
	int64_t		retries = 0;
	int64_t		restarts = 0;

	if (!read_object(object, "HostConfig", &host) || !read_object(host, "RestartPolicy", &policy) ||
		!read_text(policy, "Name", &name) || strlen(name) >= sizeof(to->restart_policy) ||
		!read_number(policy, "MaximumRetryCount", 1, INT_MAX, &retries) ||
		!read_number(object, "RestartCount", 1, INT_MAX, &restarts))
		return false;
	copy_words(to->restart_policy, sizeof(to->restart_policy), name, strlen(name));
	to->restart_retries = (int) retries;
	to->restarts = (int) restarts;
	return true;
}

static bool
parse_inspected(const cJSON *object, EngineContainer *to)
{
	const char *id = NULL;
	const char *name = "";
	const cJSON *state = NULL;
	const cJSON *config = NULL;
	const cJSON *labels = NULL;
	int64_t		stop_timeout = -1;

	if (!cJSON_IsObject(object) || !read_text(object, "Id", &id) || !copy_id(id, to) ||
		!read_text(object, "Name", &name) || !copy_name(name, to) ||
		!read_object(object, "State", &state) || state == NULL ||
		!parse_inspected_state(state, to) ||
		!read_object(object, "Config", &config) || config == NULL ||
		!read_flag(config, "Tty", &to->tty) || !read_object(config, "Labels", &labels) ||
		!read_number(config, "StopTimeout", 1, INT_MAX, &stop_timeout) ||
		!parse_restarts(object, to))
		return false;
	to->stop_timeout = (int) stop_timeout;
	parse_labels(labels, &to->labels);
	return true;
}

/* ---- replies ---- */

static bool
reply_room(EngineReply *reply, size_t count)
{
	reply->containers = calloc(count > 0 ? count : 1, sizeof(EngineContainer));
	reply->count = reply->containers != NULL ? count : 0;
	return reply->containers != NULL;
}

/* The call may have been carried out, but the answer is no use. */
static void
reply_lost(EngineReply *reply, const char *why)
{
	free(reply->containers);
	reply->containers = NULL;
	reply->count = 0;
	reply->outcome = ENGINE_LOST;
	snprintf(reply->error, sizeof(reply->error), "%s", why);
}

void
engine_reply_free(EngineReply *reply)
{
	if (reply == NULL)
		return;
	free(reply->containers);
	free(reply->text);
	free(reply);
}

/* {"message": "..."}, or what else the Engine said, or the status alone. */
static void
describe_refusal(EngineReply *reply, const HttpAnswer *answer)
{
	cJSON	   *json = parse_json(answer->body, answer->length);
	const char *message = NULL;

	if (cJSON_IsObject(json) && read_text(json, "message", &message) &&
		message != NULL && message[0] != '\0')
		copy_words(reply->error, sizeof(reply->error), message, strlen(message));
	else
		copy_words(reply->error, sizeof(reply->error), answer->body,
				   answer->length < 200 ? answer->length : 200);
	if (reply->error[0] == '\0')
		snprintf(reply->error, sizeof(reply->error), "the Engine answered with status %d",
				 reply->status);
	cJSON_Delete(json);
}

/* What the HTTP status means, before the body is looked at. */
static void
judge(EngineReply *reply, const HttpAnswer *answer)
{
	int			status = reply->status = answer->status;

	if (status == 0)
	{
		reply->outcome = answer->sent ? ENGINE_LOST : ENGINE_UNREACHABLE;
		copy_words(reply->error, sizeof(reply->error), answer->error, strlen(answer->error));
		return;
	}
	if ((status >= 200 && status <= 299) ||
		(status == 304 && (reply->call == ENGINE_START || reply->call == ENGINE_STOP)))
	{
		reply->outcome = ENGINE_OK;
		return;
	}
	if (status == 404)
		reply->outcome = ENGINE_ABSENT;
	else if (status == 409)
		reply->outcome = ENGINE_CONFLICT;
	else
		reply->outcome = status >= 400 && status <= 599 ? ENGINE_REFUSED : ENGINE_LOST;
	describe_refusal(reply, answer);
}

/* ---- answers, call by call ---- */

/*
 * A container is a hundred times as large here as the shortest entry of a list:
 * of a list of this stack's, what is not of this stack is not kept.
 */
static bool
take_list(const Engine *engine, EngineReply *reply, const cJSON *json)
{
	const cJSON *object;
	size_t		room = 16;

	if (!cJSON_IsArray(json) || !reply_room(reply, room))
		return false;
	reply->count = 0;
	cJSON_ArrayForEach(object, json)
	{
		EngineContainer container = {0};

		if (!parse_listed(object, &container))
			return false;
		if (engine->stack_id != NULL &&
			!(container.labels.ours && strcmp(container.labels.stack_id, engine->stack_id) == 0))
			continue;
		if (reply->count == room)
		{
			EngineContainer *more = reallocarray(reply->containers, room *= 2, sizeof(EngineContainer));

			if (more == NULL)
				return false;
			reply->containers = more;
		}
		reply->containers[reply->count++] = container;
	}
	return true;
}

static bool
take_created(EngineReply *reply, const cJSON *json)
{
	const char *id = NULL;

	return cJSON_IsObject(json) && read_text(json, "Id", &id) &&
		reply_room(reply, 1) && copy_id(id, &reply->containers[0]);
}

/*
 * The Engine also answers for ids that merely begin with what was asked.  A name
 * that happens to be the beginning of somebody else's id is not that container.
 */
static bool
is_subject(const char *asked, const char *id, const char *name)
{
	return strcmp(asked, name) == 0 ||
		(is_id(asked) && strncasecmp(asked, id, strlen(asked)) == 0);
}

static void
reply_absent(EngineReply *reply, const char *what, const char *name)
{
	free(reply->containers);
	reply->containers = NULL;
	reply->count = 0;
	reply->outcome = ENGINE_ABSENT;
	snprintf(reply->error, sizeof(reply->error), "no such %s: %.250s", what, name);
}

static bool
take_inspected(EngineReply *reply, const Call *call, const cJSON *json)
{
	EngineContainer *container;

	if (!reply_room(reply, 1) || !parse_inspected(json, &reply->containers[0]))
		return false;
	container = &reply->containers[0];
	if (!is_subject(call->subject, container->id, container->name))
		reply_absent(reply, "container", call->subject);
	return true;
}

static bool
take_network(EngineReply *reply, const Call *call, const cJSON *json)
{
	const char *id = "";
	const char *name = NULL;

	if (!cJSON_IsObject(json) || !read_text(json, "Id", &id) ||
		!read_text(json, "Name", &name) || name == NULL)
		return false;
	if (!is_subject(call->subject, id, name))
		reply_absent(reply, "network", call->subject);
	return true;
}

static bool
take_image(const cJSON *json)
{
	const char *id = NULL;

	return cJSON_IsObject(json) && read_text(json, "Id", &id) && id != NULL;
}

static void
reply_text(EngineReply *reply, const char *text, size_t length)
{
	reply->outcome = ENGINE_OK;
	reply->error[0] = '\0';
	reply->text = malloc(length + 1);
	if (reply->text == NULL)
	{
		reply_lost(reply, "out of memory");
		return;
	}
	memcpy(reply->text, text, length);
	reply->text[length] = '\0';
}

/*
 * Take the frames' heads out of a log, in place: stream (0 to 3), three zeros,
 * length.  A frame that is not one, or is cut off, ends the log: what was read
 * is still worth keeping, and a log that can never be read must not keep its
 * container from being cleaned away.
 */
static size_t
unframe(char *log, size_t length)
{
	const unsigned char *from = (const unsigned char *) log;
	size_t		used = 0;
	size_t		at = 0;

	while (length - at >= 8)
	{
		const unsigned char *head = from + at;
		size_t		size = (size_t) head[4] << 24 | (size_t) head[5] << 16 |
			(size_t) head[6] << 8 | head[7];

		if (head[0] > 3 || head[1] != 0 || head[2] != 0 || head[3] != 0)
			break;
		at += 8;
		if (size > length - at)
			size = length - at;
		memmove(log + used, log + at, size);
		used += size;
		at += size;
	}
	return used;
}

static void
take_log(EngineReply *reply, const Call *call, HttpAnswer *answer)
{
	char	   *log = answer->body;
	size_t		length = call->tty ? answer->length : unframe(log, answer->length);

	if (length > LOG_TEXT_MAX)
	{
		log += length - LOG_TEXT_MAX;
		length = LOG_TEXT_MAX;
		/* do not begin in the middle of a character */
		while (length > 0 && ((unsigned char) *log & 0xC0) == 0x80)
			log++, length--;
	}
	make_utf8(log, length);
	reply_text(reply, log, length);
}

static bool
take_described(EngineReply *reply, const Call *call, const HttpAnswer *answer, const cJSON *json)
{
	if (!take_inspected(reply, call, json))
		return false;
	if (reply->outcome == ENGINE_OK)
		reply_text(reply, answer->body, answer->length);
	return true;
}

/* The names of a container's processes: the last column of ps -eo pid,comm. */
static bool
take_top(EngineReply *reply, const cJSON *json)
{
	const cJSON *processes = cJSON_GetObjectItemCaseSensitive(json, "Processes");
	const cJSON *process;
	char	   *names = calloc(1, 1);
	size_t		length = 0;

	cJSON_ArrayForEach(process, processes)
	{
		const cJSON *name = cJSON_GetArrayItem(process, cJSON_GetArraySize(process) - 1);
		char	   *more;

		if (names == NULL || !cJSON_IsString(name) ||
			(more = realloc(names, length + strlen(name->valuestring) + 2)) == NULL)
		{
			free(names);
			return false;
		}
		names = more;
		length += (size_t) sprintf(names + length, "%s\n", name->valuestring);
	}
	if (names != NULL && cJSON_IsArray(processes))
		reply_text(reply, names, length);
	free(names);
	return cJSON_IsArray(processes);
}

static void
take_pull_line(Call *call, const char *line, size_t length)
{
	cJSON	   *json;
	const char *error = NULL;

	if (length == 0)
		return;
	json = parse_json(line, length);
	if (!cJSON_IsObject(json) || !read_text(json, "error", &error))
		call->malformed = true;
	else if (error != NULL)
		copy_words(call->error, sizeof(call->error),
				   error[0] != '\0' ? error : "the image cannot be pulled",
				   error[0] != '\0' ? strlen(error) : 26);
	cJSON_Delete(json);
}

static void
finish_pull(EngineReply *reply, const Call *call)
{
	if (call->error[0] != '\0')
	{
		reply->outcome = ENGINE_REFUSED;
		snprintf(reply->error, sizeof(reply->error), "%s", call->error);
	}
	else if (call->malformed)
		reply_lost(reply, "the Engine's account of the pull is malformed");
}

/* ---- events ---- */

static EngineAction
parse_action(const char *text, EngineContainer *container)
{
	static const struct
	{
		const char *text;
		EngineAction action;
	}			actions[] = {
		{"create", ENGINE_ACTION_CREATE},
		{"start", ENGINE_ACTION_START},
		{"die", ENGINE_ACTION_DIE},
		{"kill", ENGINE_ACTION_KILL},
		{"destroy", ENGINE_ACTION_DESTROY},
	};

	if (strncmp(text, "health_status: ", 15) == 0)
	{
		container->health = parse_health(text + 15);
		return ENGINE_ACTION_HEALTH;
	}
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(text, actions[i].text) == 0)
			return actions[i].action;
	return ENGINE_ACTION_OTHER;
}

/* One event of type container into a reply with room for one container. */
static bool
parse_event(const cJSON *json, EngineReply *reply)
{
	EngineContainer *container = &reply->containers[0];
	const char *action = NULL;
	const char *id = NULL;
	const char *name = "";
	const cJSON *actor = NULL;
	const cJSON *attributes = NULL;
	int64_t		exit_code = 0;
	int64_t		signal = 0;

	if (!cJSON_IsObject(json) || !read_text(json, "Action", &action) || action == NULL ||
		!read_object(json, "Actor", &actor) || !read_text(actor, "ID", &id) ||
		!copy_id(id, container) || !read_object(actor, "Attributes", &attributes) ||
		!read_text(attributes, "name", &name) || !copy_name(name, container) ||
		!read_number(json, "time", 1e6, 9e18, &reply->event_at) ||
		!read_number(json, "timeNano", 1e-3, 9e18, &reply->event_at))
		return false;
	parse_labels(attributes, &container->labels);
	reply->action = parse_action(action, container);
	if (reply->action == ENGINE_ACTION_DIE &&
		label_number(attributes, "exitCode", INT_MAX, &exit_code))
		container->exit_code = (int) exit_code;
	if (reply->action == ENGINE_ACTION_KILL && label_number(attributes, "signal", 64, &signal))
		reply->signal = (int) signal;
	return true;
}

static void
take_history_line(Call *call, const char *line, size_t length)
{
	EngineContainer container = {0};
	EngineReply reply = {.containers = &container, .count = 1};
	cJSON	   *json;

	if (length == 0)
		return;
	json = parse_json(line, length);
	if (!parse_event(json, &reply))
		call->malformed = true;
	else if (is_subject(call->subject, container.id, container.name))
	{
		call->created |= reply.action == ENGINE_ACTION_CREATE;
		call->started |= reply.action == ENGINE_ACTION_START;
	}
	cJSON_Delete(json);
}

static EngineReply *
reply_make(EngineCall call, uint64_t tag)
{
	EngineReply *reply = calloc(1, sizeof(EngineReply));

	if (reply != NULL)
	{
		reply->call = call;
		reply->tag = tag;
	}
	return reply;
}

/* ---- calls under way ---- */

static void
call_free(Call *call)
{
	engine_reply_free(call->reply);
	free(call);
}

static Call *
call_make(EngineCall which, uint64_t tag, const char *subject)
{
	Call	   *call = calloc(1, sizeof(Call));

	if (call == NULL)
		return NULL;
	call->call = which;
	call->tag = tag;
	call->reply = reply_make(which, tag);
	if (call->reply == NULL)
	{
		free(call);
		return NULL;
	}
	/* one that is too long is none: cut off, it might be another's */
	if (strlen(subject) < sizeof(call->subject))
		strcpy(call->subject, subject);
	return call;
}

static void
call_remove(Engine *engine, const Call *call)
{
	Call	  **place = &engine->calls;

	while (*place != call)
		place = &(*place)->next;
	*place = call->next;
}

/* The call is over: its reply, and the call itself is no more. */
static EngineReply *
call_end(Engine *engine, Call *call)
{
	EngineReply *reply = call->reply;

	call->reply = NULL;
	call_remove(engine, call);
	call_free(call);
	return reply;
}

/* Send, or send on, what a call asks for.  Takes over path. */
static bool
call_send(Engine *engine, Call *call, HttpRequest request, char *path)
{
	bool		good;

	if (path == NULL)
		return false;
	call->http_tag = ++engine->last_tag;
	request.path = path;
	request.tag = call->http_tag;
	if (request.method == NULL)
		request.method = "GET";
	if (request.max_bytes == 0)
		request.max_bytes = request.stream ? LINE_MAX_BYTES : ANSWER_MAX;
	good = http_send(engine->http, &request);
	free(path);
	return good;
}

static bool
reply_locally(Engine *engine, Call *call, EngineOutcome outcome, const char *why)
{
	LocalReply *local = calloc(1, sizeof(LocalReply));
	LocalReply **place = &engine->local;

	if (local != NULL)
	{
		local->reply = call->reply;
		local->reply->outcome = outcome;
		snprintf(local->reply->error, sizeof(local->reply->error), "%s", why);
		call->reply = NULL;
		while (*place != NULL)
			place = &(*place)->next;
		*place = local;
	}
	call_free(call);
	return local != NULL;
}

/* Begin a call.  Takes over call and path, either of which may be NULL. */
static bool
call_begin(Engine *engine, Call *call, HttpRequest request, char *path)
{
	bool		connecting = call != NULL && call->call == ENGINE_CONNECT;

	if (call == NULL)
	{
		free(path);
		return false;
	}
	if (!connecting && engine->api_version[0] == '\0')
	{
		free(path);
		return reply_locally(engine, call, ENGINE_UNREACHABLE,
							 "there is no connection to the Engine yet");
	}
	if (!call_send(engine, call, request, path))
	{
		call_free(call);
		return false;
	}
	call->next = engine->calls;
	engine->calls = call;
	return true;
}

/* A path below /v<version>. */
static char *
versioned(const char *version, const char *format,...)
	__attribute__((format(printf, 2, 3)));

static char *
versioned(const char *version, const char *format,...)
{
	va_list		arguments;
	char	   *rest = NULL;
	char	   *path = NULL;
	int			length;

	va_start(arguments, format);
	length = vasprintf(&rest, format, arguments);
	va_end(arguments);
	if (length < 0)
		return NULL;
	if (asprintf(&path, "/v%s%s", version, rest) < 0)
		path = NULL;
	free(rest);
	return path;
}

/* ---- connecting ---- */

/* "1.41" into 1 and 41. */
static bool
parse_version(const char *text, int *major, int *minor)
{
	size_t		first = strspn(text, "0123456789");
	size_t		second = text[first] == '.' ? strspn(text + first + 1, "0123456789") : 0;

	if (first < 1 || first > 4 || second < 1 || second > 4 || text[first + 1 + second] != '\0')
		return false;
	*major = atoi(text);
	*minor = atoi(text + first + 1);
	return true;
}

/* The newest version that both know; the Engine's oldest if it has left ours behind. */
static bool
agree_on_version(const cJSON *json, char *version, size_t size)
{
	const char *theirs = NULL;
	const char *oldest = "1.0";
	int			major, minor, least_major, least_minor;

	if (!cJSON_IsObject(json) || !read_text(json, "ApiVersion", &theirs) || theirs == NULL ||
		!read_text(json, "MinAPIVersion", &oldest) ||
		!parse_version(theirs, &major, &minor) ||
		!parse_version(oldest[0] != '\0' ? oldest : "1.0", &least_major, &least_minor))
		return false;
	if (major > API_MAJOR || (major == API_MAJOR && minor > API_MINOR))
	{
		major = API_MAJOR;
		minor = API_MINOR;
	}
	if (least_major > major || (least_major == major && least_minor > minor))
	{
		major = least_major;
		minor = least_minor;
	}
	snprintf(version, size, "%d.%d", major, minor);
	return true;
}

static int64_t
clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/*
 * The offset is from when we asked, before the Engine looked at its clock: rather
 * too large, for what it has noted must not lie after what we take for its now.
 */
static bool
take_identity(Engine *engine, const Call *call, const cJSON *json)
{
	const char *id = NULL;
	int64_t		system_time = call->asked_at;

	if (!cJSON_IsObject(json) || !read_text(json, "ID", &id) || id == NULL ||
		id[0] == '\0' || strlen(id) >= sizeof(engine->identity) ||
		!read_time(json, "SystemTime", &system_time))
		return false;
	engine->clock_offset = system_time - call->asked_at;
	copy_words(engine->identity, sizeof(engine->identity), id, strlen(id));
	memcpy(engine->api_version, call->version, sizeof(engine->api_version));
	return true;
}

/*
 * Either half of connecting was answered well.  True if the second half has
 * been sent now, so that the call goes on.
 */
static bool
connect_goes_on(Engine *engine, Call *call, const cJSON *json)
{
	HttpRequest request = {.timeout_ms = engine->timeout_ms};

	if (call->version[0] != '\0')
	{
		if (!take_identity(engine, call, json))
			reply_lost(call->reply, "the Engine's answer to /info is malformed");
		return false;
	}
	if (!agree_on_version(json, call->version, sizeof(call->version)))
	{
		reply_lost(call->reply, "the answer to /version is not a Docker Engine's");
		return false;
	}
	call->asked_at = clock_us();
	if (!call_send(engine, call, request, versioned(call->version, "/info")))
	{
		reply_lost(call->reply, "out of memory");
		return false;
	}
	return true;
}

/* ---- about one container ---- */

/* The path of a call about one container. */
static char *
container_path(const Engine *engine, const Call *call, const char *tail)
{
	char	   *id = quote(call->subject);
	char	   *path = NULL;

	if (id != NULL)
		path = versioned(engine->api_version, "/containers/%s%s", id, tail);
	free(id);
	return path;
}

static void
logs_tail(char *tail, size_t size, int lines)
{
	snprintf(tail, size, "/logs?stdout=1&stderr=1&tail=%d", lines);
}

/*
 * Answers to LOGS that are no log.  True if the call goes on: of lines that are
 * too much together, fewer are asked for.
 */
static bool
logs_go_on(Engine *engine, Call *call, const HttpAnswer *answer)
{
	static const char none[] = "(the log driver of this container keeps no log that can be read)";
	static const char longer[] = "(the last line of this log is too long to be read)";
	HttpRequest request = {.timeout_ms = engine->timeout_ms, .max_bytes = LOG_ANSWER_MAX};
	char		tail[64];

	if (answer->status == 501)
		reply_text(call->reply, none, sizeof(none) - 1);
	else if (answer->too_long && call->lines <= 1)
		reply_text(call->reply, longer, sizeof(longer) - 1);
	else if (answer->too_long)
	{
		call->lines = call->lines / 8 > 0 ? call->lines / 8 : 1;
		logs_tail(tail, sizeof(tail), call->lines);
		return call_send(engine, call, request, container_path(engine, call, tail));
	}
	return false;
}

/* ---- from answer to reply ---- */

/* The body of a good answer.  False: malformed. */
static bool
take_body(const Engine *engine, Call *call, const HttpAnswer *answer, const cJSON *json)
{
	switch (call->call)
	{
		case ENGINE_LIST:
			return take_list(engine, call->reply, json);
		case ENGINE_CREATE:
			return take_created(call->reply, json);
		case ENGINE_INSPECT:
			return take_inspected(call->reply, call, json);
		case ENGINE_DESCRIBE:
			return take_described(call->reply, call, answer, json);
		case ENGINE_TOP:
			return take_top(call->reply, json);
		case ENGINE_IMAGE:
			return take_image(json);
		case ENGINE_NETWORK:
			return take_network(call->reply, call, json);
		default:
			return true;
	}
}

/* A good answer.  True if the call goes on. */
static bool
take_good_answer(Engine *engine, Call *call, HttpAnswer *answer)
{
	cJSON	   *json;
	bool		goes_on = false;

	switch (call->call)
	{
		case ENGINE_EVENTS:
			reply_lost(call->reply, "the Engine ended the stream of events");
			return false;
		case ENGINE_LOGS:
			take_log(call->reply, call, answer);
			return false;
		case ENGINE_PULL:
			take_pull_line(call, answer->body, answer->length);
			finish_pull(call->reply, call);
			return false;
		case ENGINE_HISTORY:
			take_history_line(call, answer->body, answer->length);
			/* no Engine remembers its last life: what it does not know may have been */
			call->reply->started = call->started || !call->created;
			if (call->malformed)
				reply_lost(call->reply, "the Engine's history is malformed");
			return false;
		default:
			break;
	}
	json = parse_json(answer->body, answer->length);
	if (call->call == ENGINE_CONNECT)
		goes_on = connect_goes_on(engine, call, json);
	else if (!take_body(engine, call, answer, json))
		reply_lost(call->reply, "the Engine's answer is malformed");
	cJSON_Delete(json);
	return goes_on;
}

static EngineReply *
take_end(Engine *engine, Call *call, HttpAnswer *answer)
{
	bool		goes_on = false;

	judge(call->reply, answer);
	if (call->reply->outcome == ENGINE_OK)
		goes_on = take_good_answer(engine, call, answer);
	else if (call->call == ENGINE_LOGS)
		goes_on = logs_go_on(engine, call, answer);
	if (!goes_on)
		return call_end(engine, call);
	call->reply->outcome = ENGINE_OK;
	call->reply->error[0] = '\0';
	return NULL;
}

/* One event; a stream that brings anything else is given up. */
static EngineReply *
take_event(Engine *engine, Call *call, const HttpAnswer *answer)
{
	EngineReply *reply;
	cJSON	   *json;
	bool		good;

	if (answer->length == 0)
		return NULL;
	reply = reply_make(ENGINE_EVENTS, call->tag);
	json = parse_json(answer->body, answer->length);
	good = reply != NULL && reply_room(reply, 1) && parse_event(json, reply);
	cJSON_Delete(json);
	if (good)
	{
		reply->status = 200;
		reply->event = true;
		return reply;
	}
	engine_reply_free(reply);
	http_cancel(engine->http, call->http_tag);
	reply_lost(call->reply, "the Engine's stream of events is malformed");
	return call_end(engine, call);
}

static EngineReply *
take_line(Engine *engine, Call *call, const HttpAnswer *answer)
{
	if (call->call == ENGINE_EVENTS)
		return take_event(engine, call, answer);
	if (call->call == ENGINE_PULL)
		take_pull_line(call, answer->body, answer->length);
	else
		take_history_line(call, answer->body, answer->length);
	return NULL;
}

static EngineReply *
take_open(const Call *call)
{
	EngineReply *reply;

	if (call->call != ENGINE_EVENTS)
		return NULL;
	reply = reply_make(ENGINE_EVENTS, call->tag);
	if (reply != NULL)
		reply->status = 200;
	return reply;
}

static EngineReply *
take_answer(Engine *engine, HttpAnswer *answer)
{
	Call	   *call = engine->calls;

	while (call != NULL && call->http_tag != answer->tag)
		call = call->next;
	if (call == NULL)
		return NULL;
	switch (answer->kind)
	{
		case HTTP_OPEN:
			return take_open(call);
		case HTTP_LINE:
			return take_line(engine, call, answer);
		default:
			return take_end(engine, call, answer);
	}
}

static EngineReply *
next_local(Engine *engine)
{
	LocalReply *local = engine->local;
	EngineReply *reply;

	if (local == NULL)
		return NULL;
	reply = local->reply;
	engine->local = local->next;
	free(local);
	return reply;
}

EngineReply *
engine_next(Engine *engine)
{
	EngineReply *reply = next_local(engine);
	HttpAnswer *answer;

	while (reply == NULL && (answer = http_next(engine->http)) != NULL)
	{
		reply = take_answer(engine, answer);
		http_answer_free(answer);
	}
	return reply;
}

/* ---- the engine itself ---- */

Engine *
engine_open(const EngineConfig *config, char *error, size_t error_size)
{
	Engine	   *engine = calloc(1, sizeof(Engine));

	if (engine != NULL && config->stack_id != NULL)
		engine->stack_id = strdup(config->stack_id);
	if (engine == NULL || (config->stack_id != NULL && engine->stack_id == NULL))
	{
		free(engine);
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	engine->timeout_ms = config->timeout_ms;
	engine->http = http_open(config->docker_host, config->cert_path, config->max_requests,
							 error, error_size);
	if (engine->http == NULL)
	{
		engine_close(engine);
		return NULL;
	}
	return engine;
}

void
engine_close(Engine *engine)
{
	EngineReply *reply;
	Call	   *call;

	if (engine == NULL)
		return;
	http_close(engine->http);
	while ((call = engine->calls) != NULL)
	{
		engine->calls = call->next;
		call_free(call);
	}
	while ((reply = next_local(engine)) != NULL)
		engine_reply_free(reply);
	free(engine->stack_id);
	free(engine);
}

int
engine_descriptor(const Engine *engine)
{
	return http_descriptor(engine->http);
}

long
engine_wait_ms(Engine *engine)
{
	return engine->local != NULL ? 0 : http_wait_ms(engine->http);
}

void
engine_run(Engine *engine)
{
	http_run(engine->http);
}

const char *
engine_api_version(const Engine *engine)
{
	return engine->api_version;
}

const char *
engine_identity(const Engine *engine)
{
	return engine->identity;
}

int64_t
engine_clock_offset_us(const Engine *engine)
{
	return engine->clock_offset;
}

/* ---- the calls ---- */

/* {"key": ["value"], ...}, percent-encoded; pairs end with a NULL key. */
static char *
quoted_filters(const char *const pairs[][2])
{
	cJSON	   *json = cJSON_CreateObject();
	char	   *text;
	char	   *quoted = NULL;

	for (int i = 0; pairs[i][0] != NULL; i++)
		cJSON_AddItemToArray(cJSON_AddArrayToObject(json, pairs[i][0]),
							 cJSON_CreateString(pairs[i][1]));
	text = cJSON_PrintUnformatted(json);
	cJSON_Delete(json);
	if (text != NULL)
		quoted = quote(text);
	cJSON_free(text);
	return quoted;
}

/* The filter for containers of this stack, "" without a stack. */
static bool
stack_label(const Engine *engine, char **label)
{
	*label = NULL;
	if (engine->stack_id == NULL)
		return true;
	return asprintf(label, "io.hafstack.id=%s", engine->stack_id) >= 0;
}

/* A call about one container, whose path ends with tail. */
static bool
container_call(Engine *engine, Call *call, HttpRequest request, const char *tail)
{
	if (call == NULL)
		return false;
	if (!askable(call->subject) || strchr(call->subject, '/') != NULL)
		return reply_locally(engine, call, ENGINE_REFUSED, "this is no container's id or name");
	return call_begin(engine, call, request, container_path(engine, call, tail));
}

bool
engine_connect(Engine *engine, uint64_t tag)
{
	HttpRequest request = {.timeout_ms = engine->timeout_ms};

	return call_begin(engine, call_make(ENGINE_CONNECT, tag, ""), request, strdup("/version"));
}

/* The stream of the events that pass one more filter; key NULL: none. */
static bool
stream_events(Engine *engine, uint64_t tag, const char *key, const char *value, int64_t since)
{
	HttpRequest request = {.stream = true};
	char		from[64] = "";
	char	   *filters;
	char	   *path = NULL;

	filters = quoted_filters((const char *const[][2]) {
		{"type", "container"}, {key, value}, {NULL, NULL}
	});
	if (since > 0)
		snprintf(from, sizeof(from), "&since=%" PRId64 ".%06" PRId64,
				 since / 1000000, since % 1000000);
	if (filters != NULL)
		path = versioned(engine->api_version, "/events?filters=%s%s", filters, from);
	free(filters);
	return call_begin(engine, call_make(ENGINE_EVENTS, tag, ""), request, path);
}

bool
engine_events(Engine *engine, uint64_t tag, int64_t since)
{
	char	   *label;
	bool		good;

	if (!stack_label(engine, &label))
		return false;
	good = stream_events(engine, tag, label != NULL ? "label" : NULL, label, since);
	free(label);
	return good;
}

bool
engine_watch(Engine *engine, uint64_t tag, const char *id, int64_t since)
{
	return stream_events(engine, tag, "container", id, since);
}

bool
engine_list(Engine *engine, uint64_t tag)
{
	HttpRequest request = {.timeout_ms = engine->timeout_ms, .max_bytes = LIST_MAX};
	char	   *label;
	char	   *filters;
	char	   *path = NULL;

	if (!stack_label(engine, &label))
		return false;
	filters = quoted_filters((const char *const[][2]) {
		{label != NULL ? "label" : NULL, label}, {NULL, NULL}
	});
	free(label);
	if (filters != NULL)
		path = versioned(engine->api_version, "/containers/json?all=1&filters=%s", filters);
	free(filters);
	return call_begin(engine, call_make(ENGINE_LIST, tag, ""), request, path);
}

bool
engine_create(Engine *engine, uint64_t tag, const char *name, const char *body)
{
	HttpRequest request = {.method = "POST", .body = body, .timeout_ms = engine->timeout_ms};
	char	   *quoted = quote(name);
	char	   *path = NULL;

	if (quoted != NULL)
		path = versioned(engine->api_version, "/containers/create?name=%s", quoted);
	free(quoted);
	return call_begin(engine, call_make(ENGINE_CREATE, tag, name), request, path);
}

bool
engine_start(Engine *engine, uint64_t tag, const char *id)
{
	HttpRequest request = {.method = "POST", .timeout_ms = engine->timeout_ms + START_EXTRA_MS};

	return container_call(engine, call_make(ENGINE_START, tag, id), request, "/start");
}

bool
engine_stop(Engine *engine, uint64_t tag, const char *id, int grace_s)
{
	long		grace_ms = (grace_s >= 0 ? grace_s : STOP_MOST_S) * 1000L;
	HttpRequest request = {.method = "POST", .timeout_ms = grace_ms + engine->timeout_ms};
	char		tail[32] = "/stop";

	if (grace_s >= 0)
		snprintf(tail, sizeof(tail), "/stop?t=%d", grace_s);
	return container_call(engine, call_make(ENGINE_STOP, tag, id), request, tail);
}

bool
engine_kill(Engine *engine, uint64_t tag, const char *id, const char *signal)
{
	HttpRequest request = {.method = "POST", .timeout_ms = engine->timeout_ms};
	char	   *quoted = quote(signal);
	char	   *tail = NULL;
	bool		good;

	if (quoted == NULL || asprintf(&tail, "/kill?signal=%s", quoted) < 0)
	{
		free(quoted);
		return false;
	}
	good = container_call(engine, call_make(ENGINE_KILL, tag, id), request, tail);
	free(quoted);
	free(tail);
	return good;
}

bool
engine_inspect(Engine *engine, uint64_t tag, const char *id_or_name)
{
	HttpRequest request = {.timeout_ms = engine->timeout_ms};

	return container_call(engine, call_make(ENGINE_INSPECT, tag, id_or_name), request, "/json");
}

bool
engine_describe(Engine *engine, uint64_t tag, const char *id_or_name)
{
	HttpRequest request = {.timeout_ms = engine->timeout_ms};

	return container_call(engine, call_make(ENGINE_DESCRIBE, tag, id_or_name), request, "/json");
}

bool
engine_update(Engine *engine, uint64_t tag, const char *id_or_name,
			  const char *restart_policy, int retries)
{
	char		body[128];
	HttpRequest request = {.method = "POST", .body = body, .timeout_ms = engine->timeout_ms};
	Call	   *call = call_make(ENGINE_UPDATE, tag, id_or_name);

	if (call != NULL && restart_policy[strspn(restart_policy, "abcdefghijklmnopqrstuvwxyz-")] != '\0')
		return reply_locally(engine, call, ENGINE_REFUSED, "this is no restart policy");
	snprintf(body, sizeof(body), "{\"RestartPolicy\":{\"Name\":\"%.31s\",\"MaximumRetryCount\":%d}}",
			 restart_policy, retries);
	return container_call(engine, call, request, "/update");
}

bool
engine_top(Engine *engine, uint64_t tag, const char *id)
{
	HttpRequest request = {.timeout_ms = engine->timeout_ms};

	return container_call(engine, call_make(ENGINE_TOP, tag, id), request, "/top?ps_args=-eo%20pid,comm");
}

bool
engine_wait(Engine *engine, uint64_t tag, const char *id)
{
	HttpRequest request = {.method = "POST"};

	return container_call(engine, call_make(ENGINE_WAIT, tag, id), request, "/wait");
}

bool
engine_logs(Engine *engine, uint64_t tag, const char *id, int lines, bool tty)
{
	HttpRequest request = {.timeout_ms = engine->timeout_ms, .max_bytes = LOG_ANSWER_MAX};
	Call	   *call = call_make(ENGINE_LOGS, tag, id);
	char		tail[64];

	if (call == NULL)
		return false;
	call->tty = tty;
	call->lines = lines > 0 ? lines : 0;
	logs_tail(tail, sizeof(tail), call->lines);
	return container_call(engine, call, request, tail);
}

bool
engine_remove(Engine *engine, uint64_t tag, const char *id)
{
	HttpRequest request = {.method = "DELETE", .timeout_ms = engine->timeout_ms};

	return container_call(engine, call_make(ENGINE_REMOVE, tag, id), request, "?v=0&force=0");
}

/*
 * The Engine's past events end with `until`: the second after now by its own
 * clock, so that what has just been noted is in.
 */
bool
engine_history(Engine *engine, uint64_t tag, const char *id)
{
	/* its clock is ahead of what we know by no more than /info took */
	HttpRequest request = {.stream = true, .timeout_ms = 2L * engine->timeout_ms + 1000};
	int64_t		now = clock_us() + engine_clock_offset_us(engine);
	char	   *filters;
	char	   *path = NULL;

	filters = quoted_filters((const char *const[][2]) {
		{"type", "container"}, {"container", id}, {NULL, NULL}
	});
	if (filters != NULL)
		path = versioned(engine->api_version,
						 "/events?since=1&until=%" PRId64 "&filters=%s",
						 now / 1000000 + 1, filters);
	free(filters);
	return call_begin(engine, call_make(ENGINE_HISTORY, tag, id), request, path);
}

/* A call about an image or a network. */
static bool
named_call(Engine *engine, EngineCall which, uint64_t tag, const char *format, const char *name)
{
	HttpRequest request = {.timeout_ms = engine->timeout_ms};
	Call	   *call = call_make(which, tag, name);
	char	   *quoted;
	char	   *rest = NULL;
	char	   *path = NULL;

	if (call == NULL)
		return false;
	if (!askable(name))
		return reply_locally(engine, call, ENGINE_REFUSED, "this is no name of an image or network");
	quoted = quote(name);
	if (quoted != NULL && asprintf(&rest, "/%s/%s%s", format, quoted,
								   which == ENGINE_IMAGE ? "/json" : "") >= 0)
		path = versioned(engine->api_version, "%s", rest);
	free(quoted);
	free(rest);
	return call_begin(engine, call, request, path);
}

bool
engine_image(Engine *engine, uint64_t tag, const char *image)
{
	return named_call(engine, ENGINE_IMAGE, tag, "images", image);
}

bool
engine_network(Engine *engine, uint64_t tag, const char *network)
{
	return named_call(engine, ENGINE_NETWORK, tag, "networks", network);
}

bool
engine_join(Engine *engine, uint64_t tag, const char *network, const char *id, const char *endpoint)
{
	Call	   *call = call_make(ENGINE_JOIN, tag, network);
	HttpRequest request = {.method = "POST", .timeout_ms = engine->timeout_ms};
	char	   *quoted;
	char	   *body = NULL;
	char	   *path = NULL;
	bool		good = false;

	if (call == NULL)
		return false;
	if (!askable(network) || !is_id(id))
		return reply_locally(engine, call, ENGINE_REFUSED, "this is no name of a network, or no container's id");
	quoted = quote(network);
	if (quoted != NULL && asprintf(&body, "{\"Container\":\"%s\",\"EndpointConfig\":%s}", id, endpoint) >= 0)
	{
		path = versioned(engine->api_version, "/networks/%s/connect", quoted);
		request.body = body;
	}
	good = call_begin(engine, call, request, path);
	free(quoted);
	free(body);
	return good;
}

/*
 * Cut an image's name into what the pull wants: "registry:5000/name" and a tag
 * or digest ("latest" where none is given; a digest wins over a tag).
 */
static char *
cut_image(const char *image, const char **tag)
{
	const char *digest = strchr(image, '@');
	size_t		length = digest != NULL ? (size_t) (digest - image) : strlen(image);
	const char *slash = memrchr(image, '/', length);
	const char *start = slash != NULL ? slash + 1 : image;
	const char *colon = memchr(start, ':', length - (size_t) (start - image));

	*tag = digest != NULL ? digest + 1 : colon != NULL ? colon + 1 : "latest";
	return strndup(image, colon != NULL ? (size_t) (colon - image) : length);
}

bool
engine_pull(Engine *engine, uint64_t tag, const char *image)
{
	HttpRequest request = {.method = "POST", .stream = true, .timeout_ms = PULL_MS};
	Call	   *call = call_make(ENGINE_PULL, tag, "");
	const char *version;
	char	   *name = cut_image(image, &version);
	char	   *from = name != NULL ? quote(name) : NULL;
	char	   *quoted = quote(version);
	char	   *path = NULL;
	bool		valid = name == NULL || (name[0] != '\0' && version[0] != '\0');

	if (from != NULL && quoted != NULL)
		path = versioned(engine->api_version, "/images/create?fromImage=%s&tag=%s", from, quoted);
	free(name);
	free(from);
	free(quoted);
	/* without a tag the Engine would pull every tag there is */
	if (!valid && call != NULL)
	{
		free(path);
		return reply_locally(engine, call, ENGINE_REFUSED, "this is no name of an image");
	}
	return call_begin(engine, call, request, path);
}

/* ---- words ---- */

const char *
engine_health_name(EngineHealth health)
{
	switch (health)
	{
		case ENGINE_HEALTH_STARTING:
			return "starting";
		case ENGINE_HEALTH_HEALTHY:
			return "healthy";
		case ENGINE_HEALTH_UNHEALTHY:
			return "unhealthy";
		default:
			return NULL;
	}
}
