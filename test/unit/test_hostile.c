/*
 * test_hostile.c
 *		engine.c and answers that no real Engine gives on request: garbage,
 *		wrong types, cut-off and endless ones.
 */
#define _GNU_SOURCE
#include "peer.h"
#include "tap.h"
#include "pump.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <unistd.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define VERSION "{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}"
#define LABELS "\"io.hafstack.id\":\"S\",\"io.hafstack.stack\":\"haf\",\"io.hafstack.app\":\"x\"," \
	"\"io.hafstack.role\":\"sync\",\"io.hafstack.ordinal\":\"2\",\"io.hafstack.run\":\"3\"," \
	"\"io.hafstack.attempt\":\"4\""

/* What the peer says to everything but the two calls of connecting. */
typedef struct Script
{
	const char *version;		/* body of /version, NULL: VERSION */
	const char *info;			/* body of /info, NULL: a good one */
	int			status;
	const char *body;
	size_t		length;			/* of the body; 0: strlen */
	const char *raw;			/* instead of status and body */
	bool		hold;			/* leave the connection open after that */
	bool		large_unless_one;	/* a log too large unless one line is asked for */
} Script;

static void
say_body(int fd, int status, const char *body, size_t length)
{
	char		head[128];

	snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n", status, length);
	(void) (peer_say(fd, head) && peer_write(fd, body, length));
}

static void
say_large(int fd)
{
	size_t		length = 17 * 1024 * 1024;
	char	   *body = malloc(length);

	memset(body, 'x', length);
	say_body(fd, 200, body, length);
	free(body);
}

static void
serve_script(int fd, PeerLog *log, const void *argument)
{
	const Script *script = argument;

	while (peer_read(fd, log))
	{
		if (strncmp(log->last, "GET /version ", 13) == 0)
			peer_answer(fd, 200, script->version != NULL ? script->version : VERSION);
		else if (strstr(log->last, "/info HTTP") != NULL)
			peer_answer(fd, 200, script->info != NULL ? script->info : "{\"ID\":\"E\"}");
		else if (script->raw != NULL)
		{
			peer_say(fd, script->raw);
			if (script->hold)
				pause();
			return;
		}
		else if (script->large_unless_one && strstr(log->last, "tail=1 ") == NULL)
			say_large(fd);
		else
			say_body(fd, script->status != 0 ? script->status : 200, script->body,
					 script->length != 0 ? script->length : strlen(script->body));
	}
}

static Peer peer;

static EngineReply *
connect_to(const Script *script)
{
	peer = peer_start(serve_script, script, false);
	open_engine(peer.host, "", "S", 20000);
	return reply_to(engine_connect(engine, 1));
}

static void
begin(const Script *script)
{
	EngineReply *reply = connect_to(script);

	if (reply->outcome != ENGINE_OK)
	{
		diag("%s", reply->error);
		abort();
	}
	engine_reply_free(reply);
}

static void
end(void)
{
	engine_close(engine);
	peer_stop(&peer);
}

static void
check(EngineReply *reply, EngineOutcome outcome, const char *error, const char *name)
{
	bool		good = reply->outcome == outcome &&
		(error != NULL ? strstr(reply->error, error) != NULL : reply->error[0] == '\0');

	ok(good, "%s: %s", name, outcome_name(outcome));
	if (!good)
		diag("%s: %s", outcome_name(reply->outcome), reply->error);
	if (strstr(reply->error, "abc") != NULL || strstr(reply->error, "geheim") != NULL)
		ok(false, "no secret in %s", reply->error);
	if (outcome != ENGINE_OK && (reply->count != 0 || reply->text != NULL))
		ok(false, "nothing comes with an error");
	engine_reply_free(reply);
}

/* ---- connecting ---- */

static void
check_version(const char *version, const char *wanted)
{
	Script		script = {.version = version};
	EngineReply *reply = connect_to(&script);

	if (wanted != NULL)
	{
		ok(reply->outcome == ENGINE_OK, "%s: agreed", version);
		is_text(engine_api_version(engine), wanted, "on the version");
		is_text(engine_identity(engine), "E", "and the identity is known");
	}
	else
	{
		ok(reply->outcome == ENGINE_LOST && reply->error[0] != '\0', "%s: no Engine", version);
		is_text(engine_api_version(engine), "", "no version");
		ok(engine_next(engine) == NULL, "that was all");
	}
	engine_reply_free(reply);
	end();
}

static void
test_connect(void)
{
	static const char *const no_engines[] = {
		"", "garbage", "[]", "{}", "{\"ApiVersion\":1.41}", "{\"ApiVersion\":\"\"}",
		"{\"ApiVersion\":\"1\"}", "{\"ApiVersion\":\"1.x\"}", "{\"ApiVersion\":\"1.41/../x\"}",
		"{\"ApiVersion\":\"99999.1\"}", "{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":[]}",
		"{\"ApiVersion\":\"1.41\"} trailing", "{\"ApiVersion\":\"1.41\""
	};
	static const char *const no_infos[] = {
		"", "{}", "{\"ID\":7}", "{\"ID\":\"\"}", "[\"ID\"]", "{\"ID\":\"E\",\"SystemTime\":7}",
		"{\"ID\":\"E\",\"SystemTime\":\"noon\"}"
	};

	check_version("{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}", "1.41");
	check_version("{\"ApiVersion\":\"1.47\",\"MinAPIVersion\":\"1.24\"}", "1.47");
	check_version("{\"ApiVersion\":\"1.55\",\"MinAPIVersion\":\"1.24\"}", "1.47");
	check_version("{\"ApiVersion\":\"2.3\",\"MinAPIVersion\":\"1.24\"}", "1.47");
	check_version("{\"ApiVersion\":\"1.60\",\"MinAPIVersion\":\"1.50\"}", "1.50");
	check_version("{\"ApiVersion\":\"1.40\"}", "1.40");
	for (size_t i = 0; i < sizeof(no_engines) / sizeof(no_engines[0]); i++)
		check_version(no_engines[i], NULL);
	for (size_t i = 0; i < sizeof(no_infos) / sizeof(no_infos[0]); i++)
	{
		Script		script = {.info = no_infos[i]};

		check(connect_to(&script), ENGINE_LOST, "/info", "an /info without identity");
		is_text(engine_api_version(engine), "", "and no version");
		end();
	}
	open_engine("unix:///nonexistent.sock", "", NULL, 3000);
	check(reply_to(engine_start(engine, 1, ID)), ENGINE_UNREACHABLE, "no connection",
		  "a call before connecting");
	check(reply_to(engine_connect(engine, 1)), ENGINE_UNREACHABLE, "nonexistent.sock", "no socket");
	engine_close(engine);
}

/* ---- refusals ---- */

static void
check_refusal(int status, const char *body, size_t length, EngineOutcome outcome,
			  const char *error, const char *name)
{
	Script		script = {.status = status, .body = body, .length = length};

	begin(&script);
	check(reply_to(engine_start(engine, 1, ID)), outcome, error, name);
	end();
}

static void
test_refusals(void)
{
	char		large[20000];

	check_refusal(204, "", 0, ENGINE_OK, NULL, "204");
	check_refusal(304, "", 0, ENGINE_OK, NULL, "304 to start");
	check_refusal(404, "{\"message\":\"No such container: x\"}", 0, ENGINE_ABSENT, "No such container", "404");
	check_refusal(409, "{\"message\":\"in use\"}", 0, ENGINE_CONFLICT, "in use", "409");
	check_refusal(400, "{\"message\":\"bad\"}", 0, ENGINE_REFUSED, "bad", "400");
	check_refusal(500, "", 0, ENGINE_REFUSED, "status 500", "an empty 500");
	check_refusal(503, "<html>\r\n\tnone  ", 0, ENGINE_REFUSED, "<html>   none", "a refusal that is no JSON");
	check_refusal(500, "{\"message\":7}", 0, ENGINE_REFUSED, "{\"message\":7}", "a message that is no text");
	check_refusal(500, "\xff\xfe\0z\xe2\x82\xac", 7, ENGINE_REFUSED, "?? z\xe2\x82\xac", "a refusal in no encoding");
	check_refusal(302, "moved", 0, ENGINE_LOST, "moved", "a redirect");
	memset(large, 'x', sizeof(large));
	memcpy(large, "{\"message\":\"", 12);
	memcpy(large + sizeof(large) - 3, "\"}", 3);
	check_refusal(500, large, 0, ENGINE_REFUSED, "xxxx", "a message that is too long");
	memset(large, 'y', 300);
	memcpy(large + 195, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac", 9);
	large[300] = '\0';
	check_refusal(500, large, 0, ENGINE_REFUSED, "yyyy\xe2\x82\xac??", "cut between characters");
	check_refusal(400, "{\"message\":\"exec: \\\"--postgres-url=postgres://me:geheim@h/db\\\": not found\"}",
				  0, ENGINE_REFUSED, "exec: \"...\": not found", "a command is hidden");
	check_refusal(400, "{\"message\":\"exec: \\\"run --token=abc \\\\\\\"x\\\\\\\"\\\": executable file not found\"}",
				  0, ENGINE_REFUSED, "exec: \"...\": executable file not found", "with quotes in it too");
	check_refusal(400, "{\"message\":\"exec: \\\"/run --token=abc\\\": stat /run --token=abc: no such file\"}",
				  0, ENGINE_REFUSED, "exec: \"...\": no such file", "twice if need be");
	check_refusal(400, "{\"message\":\"exec: \\\"/run \\\\ta\\\": stat /run \\ta: no such file\"}",
				  0, ENGINE_REFUSED, "exec: \"...\"", "however it was quoted");
	check_refusal(400, "{\"message\":\"exec: \\\"/run abc\"}", 0, ENGINE_REFUSED, "exec: \"...", "or cut off");
	check_refusal(400, "{\"message\":\"invalid environment variable: =abc\"}", 0, ENGINE_REFUSED,
				  "invalid environment variable: ...", "and a variable");
	check_refusal(400, "{\"message\":\"see postgres://me:geheim@h/db\"}",
				  0, ENGINE_REFUSED, "postgres://me:***@h/db", "a password in a URL is hidden");
	check_refusal(400, "{\"message\":\"exec PGPASSWORD=geheim x\"}", 0, ENGINE_REFUSED,
				  "PGPASSWORD=*** x", "and one that is assigned");
	check_refusal(400, "{\"message\":\"see http://h:1/a@b x://\"}", 0, ENGINE_REFUSED,
				  "see http://h:1/a@b x://", "what is no password is not");
}

static void
test_dropped(void)
{
	Script		nothing = {.raw = ""};
	Script		half = {.raw = "HTTP/1.1 201 X\r\nContent-Length: 100\r\n\r\n{\"Id\":\"" ID "\"}"};

	begin(&nothing);
	check(reply_to(engine_start(engine, 1, ID)), ENGINE_LOST, "", "a dropped connection");
	end();
	begin(&half);
	check(reply_to(engine_create(engine, 1, "x", "{}")), ENGINE_LOST, "", "half an answer");
	end();
}

/* ---- bodies ---- */

static EngineReply *
call_with(const Script *script, EngineCall call)
{
	begin(script);
	switch (call)
	{
		case ENGINE_LIST:
			return reply_to(engine_list(engine, 1));
		case ENGINE_INSPECT:
			return reply_to(engine_inspect(engine, 1, ID));
		case ENGINE_CREATE:
			return reply_to(engine_create(engine, 1, "some name", "{\"Image\":\"x\"}"));
		case ENGINE_IMAGE:
			return reply_to(engine_image(engine, 1, "r:5/i:t"));
		case ENGINE_NETWORK:
			return reply_to(engine_network(engine, 1, "net"));
		case ENGINE_HISTORY:
			return reply_to(engine_history(engine, 1, ID));
		case ENGINE_PULL:
			return reply_to(engine_pull(engine, 1, "r:5/i"));
		default:
			abort();
	}
}

static void
check_lost(EngineCall call, const char *body)
{
	Script		script = {.body = body, .status = call == ENGINE_CREATE ? 201 : 200};

	check(call_with(&script, call), ENGINE_LOST, "malformed", body);
	end();
}

static void
test_malformed(void)
{
	static const char *const lists[] = {
		"", "{}", "null", "[", "[1]", "[null]", "[{}]", "[{\"Id\":\"short\"}]", "[{\"Id\":7}]",
		"[{\"Id\":\"" ID "0\"}]", "[{\"Id\":\"" ID "\",\"Names\":\"x\"}]",
		"[{\"Id\":\"" ID "\",\"Names\":[7]}]", "[{\"Id\":\"" ID "\",\"Names\":[\"\"]}]",
		"[{\"Id\":\"" ID "\",\"Labels\":[]}]", "[{\"Id\":\"" ID "\",\"State\":{}}]",
		"[{\"Id\":\"" ID "\",\"Status\":1}]", "[{\"Id\":\"" ID "\"}] [",
		"[{\"Id\":\"" ID "\"},{\"Id\":\"zz\"}]"
	};
	static const char *const inspects[] = {
		"", "[]", "{}", "{\"Id\":\"" ID "\"}", "{\"Id\":\"" ID "\",\"State\":{}}",
		"{\"Id\":\"" ID "\",\"State\":{\"ExitCode\":\"0\"},\"Config\":{}}",
		"{\"Id\":\"" ID "\",\"State\":{\"ExitCode\":1e99},\"Config\":{}}",
		"{\"Id\":\"" ID "\",\"State\":{\"OOMKilled\":0},\"Config\":{}}",
		"{\"Id\":\"" ID "\",\"State\":{\"Health\":[]},\"Config\":{}}",
		"{\"Id\":\"" ID "\",\"State\":{\"StartedAt\":\"yesterday\"},\"Config\":{}}",
		"{\"Id\":\"" ID "\",\"State\":{\"StartedAt\":\"2024-13-01T00:00:00Z\"},\"Config\":{}}",
		"{\"Id\":\"" ID "\",\"State\":{\"StartedAt\":\"2024-01-01T00:00:00\"},\"Config\":{}}",
		"{\"Id\":\"" ID "\",\"State\":{\"StartedAt\":\"2024-01-01\"},\"Config\":{}}",
		"{\"Id\":\"" ID "\",\"State\":{\"StartedAt\":\"2024-01-01T00:00:00+0100\"},\"Config\":{}}",
		"{\"Id\":\"" ID "\",\"State\":{\"StartedAt\":5},\"Config\":{}}",
		"{\"Id\":\"" ID "\",\"State\":{},\"Config\":{\"Tty\":\"yes\"}}",
		"{\"Id\":\"" ID "\",\"Name\":[],\"State\":{},\"Config\":{}}"
	};
	static const char *const creates[] = {"", "{}", "[]", "{\"Id\":\"\"}", "{\"Id\":\"../x\"}", "{\"Id\":{}}"};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		check_lost(ENGINE_LIST, lists[i]);
	for (size_t i = 0; i < sizeof(inspects) / sizeof(inspects[0]); i++)
		check_lost(ENGINE_INSPECT, inspects[i]);
	for (size_t i = 0; i < sizeof(creates) / sizeof(creates[0]); i++)
		check_lost(ENGINE_CREATE, creates[i]);
	check_lost(ENGINE_IMAGE, "{}");
	check_lost(ENGINE_NETWORK, "{\"Id\":\"" ID "\"}");
	check_lost(ENGINE_HISTORY, "{\"Action\":\"start\"}\n");
	check_lost(ENGINE_HISTORY, "garbage");
	check_lost(ENGINE_PULL, "garbage\n{}\n");
	check_lost(ENGINE_PULL, "{\"error\":7}\n");
}

static long
most_memory(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

static void
test_enormous(void)
{
	long		before;
	size_t		length = 20 * 1000 * 1000;
	char	   *body = malloc(length + 1);
	Script		script = {.body = body, .length = length};

	memset(body, '[', 100000);
	body[100000] = '\0';
	script.length = 0;
	check(call_with(&script, ENGINE_LIST), ENGINE_LOST, "malformed", "deep JSON");
	end();
	before = most_memory();
	script.length = length;
	for (size_t i = 0; i < length; i++)
		body[i] = i % 2 ? ',' : '1';
	body[0] = '[';
	body[length - 1] = ']';
	check(call_with(&script, ENGINE_LIST), ENGINE_LOST, "malformed", "ten million items");
	end();
	ok(most_memory() - before < 300 * 1024, "are not even parsed (%ld kB)", most_memory() - before);
	check(call_with(&script, ENGINE_INSPECT), ENGINE_LOST, "too long", "an answer too long for its call");
	end();
	free(body);
}

/* A list of count times the same. */
static EngineReply *
list_of(const char *entry, int count)
{
	size_t		size = (strlen(entry) + 1) * (size_t) count + 2;
	char	   *body = malloc(size);
	char	   *to = body;
	Script		script = {.body = body};
	EngineReply *reply;

	for (int i = 0; i < count; i++)
		to += sprintf(to, "%c%s", i == 0 ? '[' : ',', entry);
	strcpy(to, "]");
	reply = call_with(&script, ENGINE_LIST);
	end();
	free(body);
	return reply;
}

static void
test_long_lists(void)
{
	EngineReply *reply = list_of("{\"Id\":\"" ID "\",\"Labels\":{" LABELS "}}", 40000);
	long		before = most_memory();

	ok(reply->outcome == ENGINE_OK && reply->count == 40000 && reply->containers[39999].labels.attempt == 4,
	   "forty thousand containers");
	engine_reply_free(reply);
	reply = list_of("{\"Id\":\"0123456789ab\"}", 400000);
	ok(reply->outcome == ENGINE_OK && reply->count == 0, "of ten times as many others none");
	ok(most_memory() - before < 300 * 1024, "has any room (%ld kB)", most_memory() - before);
	engine_reply_free(reply);
}

static void
test_list(void)
{
	Script		script = {.body = "[{\"Id\":\"" ID "\",\"Names\":[\"/other/link\",\"/haf-x-sync-2\"],"
		"\"Labels\":{" LABELS "},\"State\":\"running\",\"Status\":\"Up 2 hours (healthy)\","
		"\"Created\":1700000000},"
		"{\"Id\":\"0123456789ab\",\"Labels\":null},"
		"{\"Id\":\"0123456789ac\",\"Names\":null,\"Labels\":{" LABELS "},\"State\":\"removing\",\"Status\":\"Up (unhealthy)\"},"
		"{\"Id\":\"0123456789ad\",\"Labels\":{\"io.hafstack.id\":\"S\"}},"
		"{\"Id\":\"" OTHER "\",\"Labels\":{" LABELS "},\"State\":\"new\","
		"\"Status\":\"Up (health: starting)\"}]"};
	EngineReply *reply = call_with(&script, ENGINE_LIST);
	EngineContainer *container = reply->containers;

	has_text(peer.log->last, "GET /v1.41/containers/json?all=1&filters=%7B%22label%22%3A%5B%22io.hafstack.id%3DS%22%5D%7D ",
			 "the list is asked for");
	is_int((long long) reply->count, 3, "three containers, and neither a foreign one nor one with some of our labels");
	is_text(container->id, ID, "id");
	is_text(container->name, "haf-x-sync-2", "name, not the link");
	ok(container->state == ENGINE_STATE_RUNNING && container->health == ENGINE_HEALTH_HEALTHY, "state, health");
	ok(container->labels.ours && strcmp(container->labels.stack_id, "S") == 0 &&
	   strcmp(container->labels.stack, "haf") == 0 && strcmp(container->labels.app, "x") == 0 &&
	   strcmp(container->labels.role, "sync") == 0 && container->labels.ordinal == 2 &&
	   container->labels.run == 3 && container->labels.attempt == 4, "labels");
	ok(container[1].state == ENGINE_STATE_EXITED && container[1].health == ENGINE_HEALTH_UNHEALTHY &&
	   container[1].name[0] == '\0', "one without a name");
	ok(container[2].state == ENGINE_STATE_UNKNOWN && container[2].health == ENGINE_HEALTH_STARTING,
	   "one in a state that is new");
	engine_reply_free(reply);
	end();
}

static void
check_label(const char *labels, bool ours)
{
	char		body[1024];
	Script		script = {.body = body};
	EngineReply *reply;

	snprintf(body, sizeof(body), "[{\"Id\":\"" ID "\",\"Labels\":{%s}}]", labels);
	reply = call_with(&script, ENGINE_LIST);
	ok(reply->outcome == ENGINE_OK && reply->count == ours, "labels that are %sours: %s", ours ? "" : "not ", labels);
	engine_reply_free(reply);
	end();
}

static void
test_labels(void)
{
	static const char *const changed[][2] = {
		{"\"2\"", "\"x\""}, {"\"2\"", "\"-1\""}, {"\"2\"", "\"\""}, {"\"2\"", "2"},
		{"\"2\"", "\"99999999999999\""}, {"\"2\"", "\"99999999999999999999999999\""},
		{"\"S\"", "\"\""}, {"sync", "a-role-that-is-too-long"}, {".attempt", ".attempts"}
	};

	check_label(LABELS, true);
	for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++)
	{
		const char *at = strstr(LABELS, changed[i][0]);
		char		labels[512];

		snprintf(labels, sizeof(labels), "%.*s%s%s", (int) (at - LABELS), LABELS,
				 changed[i][1], at + strlen(changed[i][0]));
		check_label(labels, false);
	}
}

static void
check_time(const char *text, int64_t wanted)
{
	char		body[512];
	Script		script = {.body = body};
	EngineReply *reply;

	snprintf(body, sizeof(body), "{\"Id\":\"" ID "\",\"State\":{\"StartedAt\":\"%s\"},\"Config\":{}}", text);
	reply = call_with(&script, ENGINE_INSPECT);
	ok(reply->outcome == ENGINE_OK, "time %s", text);
	if (reply->outcome == ENGINE_OK)
		is_int(reply->containers[0].started_at, wanted, "is understood");
	engine_reply_free(reply);
	end();
}

static void
test_inspect(void)
{
	Script		script = {.body = "{\"Id\":\"" ID "\",\"Name\":\"/haf-x-sync\",\"Created\":\"2024-02-29T12:00:00.123456789Z\","
		"\"State\":{\"Status\":\"exited\",\"ExitCode\":137,\"OOMKilled\":true,\"Error\":\"exec \\\"x://a:b@c\\\"\\u0007\","
		"\"StartedAt\":\"2024-03-01T01:00:00+01:00\",\"FinishedAt\":\"0001-01-01T00:00:00Z\","
		"\"Health\":{\"Status\":\"unhealthy\"}},\"Config\":{\"Tty\":true,\"Labels\":{" LABELS "}}}"};
	EngineReply *reply = call_with(&script, ENGINE_INSPECT);
	EngineContainer *container = reply->containers;

	has_text(peer.log->last, "GET /v1.41/containers/" ID "/json ", "a container is asked for");
	ok(reply->count == 1 && container->state == ENGINE_STATE_EXITED && container->exit_code == 137 &&
	   container->oom_killed && container->tty && container->labels.ours &&
	   container->health == ENGINE_HEALTH_UNHEALTHY, "what it is");
	is_text(container->name, "haf-x-sync", "its name");
	is_text(container->error, "exec \"x://a:***@c\"", "its error");
	is_int(container->started_at, 1709251200000000, "started");
	is_int(container->finished_at, 0, "never finished");
	engine_reply_free(reply);
	check(reply_to(engine_inspect(engine, 1, "0123456789ab")), ENGINE_OK, NULL, "by the beginning of its id");
	check(reply_to(engine_inspect(engine, 1, "haf-x-sync")), ENGINE_OK, NULL, "by its name");
	check(reply_to(engine_inspect(engine, 1, "0123")), ENGINE_ABSENT, "0123", "a name that begins an id");
	check(reply_to(engine_inspect(engine, 1, OTHER)), ENGINE_ABSENT, OTHER, "another's id");
	end();

	check_time("1970-01-01T00:00:00Z", 0);
	check_time("1969-12-31T23:59:59Z", 0);
	check_time("2000-03-01T00:00:00Z", 951868800000000);
	check_time("2100-03-01T00:00:00.5Z", 4107542400500000);
	check_time("2024-12-31T23:59:60.000001Z", 1735689600000001);
	check_time("2024-06-01T00:00:00.1-05:30", 1717219800100000);
	check_time("9999-12-31T23:59:59.999999999Z", 253402300799999999);
	check_time("", 0);
}

/* ---- what is asked ---- */

static void
check_path(bool sent, const char *wanted)
{
	EngineReply *reply = reply_to(sent);

	has_text(peer.log->last, wanted, wanted);
	engine_reply_free(reply);
}

static void
test_paths(void)
{
	static const char *const no_ids[] = {"", ".", "..", "a/b", "a/../b", "/", ".hidden"};
	Script		script = {.body = "{}"};
	char		long_name[400];
	int			requests;

	begin(&script);
	check_path(engine_create(engine, 1, "a b&c=\"\xc3\xa9", "{}"), "POST /v1.41/containers/create?name=a%20b%26c%3D%22%C3%A9 ");
	check_path(engine_start(engine, 1, ID), "POST /v1.41/containers/" ID "/start ");
	check_path(engine_start(engine, 1, "a?b#c%"), "POST /v1.41/containers/a%3Fb%23c%25/start ");
	check_path(engine_stop(engine, 1, ID, 7), "POST /v1.41/containers/" ID "/stop?t=7 ");
	check_path(engine_stop(engine, 1, ID, -1), "POST /v1.41/containers/" ID "/stop ");
	check_path(engine_kill(engine, 1, ID, "SIGINT"), "POST /v1.41/containers/" ID "/kill?signal=SIGINT ");
	check_path(engine_logs(engine, 1, ID, 5, true), "GET /v1.41/containers/" ID "/logs?stdout=1&stderr=1&tail=5 ");
	check_path(engine_remove(engine, 1, ID), "DELETE /v1.41/containers/" ID "?v=0&force=0 ");
	check_path(engine_image(engine, 1, "r:5/i@sha256:1"), "GET /v1.41/images/r%3A5%2Fi%40sha256%3A1/json ");
	check_path(engine_network(engine, 1, "a b"), "GET /v1.41/networks/a%20b ");
	check_path(engine_pull(engine, 1, "busybox"), "POST /v1.41/images/create?fromImage=busybox&tag=latest ");
	check_path(engine_pull(engine, 1, "b:1"), "?fromImage=b&tag=1 ");
	check_path(engine_pull(engine, 1, "r:5/i"), "?fromImage=r%3A5%2Fi&tag=latest ");
	check_path(engine_pull(engine, 1, "r:5/n/i:t"), "?fromImage=r%3A5%2Fn%2Fi&tag=t ");
	check_path(engine_pull(engine, 1, "r:5/i:t@sha256:ab"), "?fromImage=r%3A5%2Fi&tag=sha256%3Aab ");
	requests = peer.log->requests;
	for (size_t i = 0; i < sizeof(no_ids) / sizeof(no_ids[0]); i++)
		check(reply_to(engine_remove(engine, 1, no_ids[i])), ENGINE_REFUSED, "no container", no_ids[i]);
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	check(reply_to(engine_remove(engine, 1, long_name)), ENGINE_REFUSED, "no container", "an id too long");
	check(reply_to(engine_image(engine, 1, "../x")), ENGINE_REFUSED, "no name", "an image that is a path");
	check(reply_to(engine_pull(engine, 1, "")), ENGINE_REFUSED, "no name", "no image");
	check(reply_to(engine_pull(engine, 1, "i:")), ENGINE_REFUSED, "no name", "an empty tag");
	check(reply_to(engine_pull(engine, 1, "@x")), ENGINE_REFUSED, "no name", "a digest of nothing");
	is_int(peer.log->requests, requests, "and nothing of that was sent");
	end();
}

/* ---- streams ---- */

static void
check_pull(const char *body, int status, EngineOutcome outcome, const char *error, const char *name)
{
	Script		script = {.body = body, .status = status};

	check(call_with(&script, ENGINE_PULL), outcome, error, name);
	end();
}

static void
test_pull(void)
{
	check_pull("{\"status\":\"Pulling\"}\r\n{\"status\":\"Done\"}\r\n", 200, ENGINE_OK, NULL, "a pull");
	check_pull("{\"status\":\"x\"}\r\n{\"errorDetail\":{\"message\":\"gone\"},\"error\":\"gone\"}\r\n", 200,
			   ENGINE_REFUSED, "gone", "a pull that fails with status 200");
	check_pull("{\"error\":\"no newline\"}", 200, ENGINE_REFUSED, "no newline", "in the last line");
	check_pull("{\"error\":\"\"}\n", 200, ENGINE_REFUSED, "cannot be pulled", "without words");
	check_pull("{\"message\":\"access denied\"}", 404, ENGINE_ABSENT, "access denied", "an unknown image");
	check_pull("{\"message\":\"no registry\"}", 500, ENGINE_REFUSED, "no registry", "no registry");
}

#define EVENT(action, attributes) "{\"Type\":\"container\",\"Action\":\"" action "\",\"Actor\":{\"ID\":\"" ID \
	"\",\"Attributes\":{\"name\":\"haf-x-sync\",\"image\":\"i\"" attributes "}},\"time\":1700000000," \
	"\"timeNano\":1700000000123456789}\n"
#define STREAM "HTTP/1.1 200 OK\r\n\r\n"

static EngineReply *
next_event(void)
{
	EngineReply *reply = wait_reply(5000);

	if (reply == NULL)
		abort();
	return reply;
}

static void
test_events(void)
{
	Script		script = {.raw = STREAM EVENT("create", "," LABELS) "\n" EVENT("die", ",\"exitCode\":\"137\"")
		EVENT("health_status: healthy", "") EVENT("exec_start: sh", "") EVENT("destroy", "")
	};
	static const EngineAction actions[] = {
		ENGINE_ACTION_CREATE, ENGINE_ACTION_DIE, ENGINE_ACTION_HEALTH, ENGINE_ACTION_OTHER,
		ENGINE_ACTION_DESTROY
	};
	EngineReply *reply;

	begin(&script);
	ok(engine_events(engine, 5, 1700000000000001), "events are asked for");
	reply = next_event();
	has_text(peer.log->last, "GET /v1.41/events?filters=%7B%22type%22%3A%5B%22container%22%5D%2C%22label%22%3A%5B"
			 "%22io.hafstack.id%3DS%22%5D%7D&since=1700000000.000001 ", "of this stack, since then");
	ok(reply->outcome == ENGINE_OK && !reply->event && reply->tag == 5, "the stream opens");
	engine_reply_free(reply);
	for (size_t i = 0; i < 5; i++)
	{
		reply = next_event();
		ok(reply->event && reply->action == actions[i] && reply->count == 1 &&
		   strcmp(reply->containers[0].id, ID) == 0 &&
		   strcmp(reply->containers[0].name, "haf-x-sync") == 0, "event %zu", i);
		ok(llabs(reply->event_at - 1700000000123456) <= 1, "its time");
		if (i == 0)
			ok(reply->containers[0].labels.ours && reply->containers[0].labels.attempt == 4, "its labels");
		if (i == 1)
			is_int(reply->containers[0].exit_code, 137, "its exit code");
		if (i == 2)
			is_int(reply->containers[0].health, ENGINE_HEALTH_HEALTHY, "its health");
		engine_reply_free(reply);
	}
	reply = next_event();
	ok(!reply->event, "the end is no event");
	check(reply, ENGINE_LOST, "ended", "the end");
	ok(wait_reply(100) == NULL, "then nothing");
	end();
}

static int
open_descriptors(void)
{
	int			count = 0;

	for (int fd = 0; fd < 100; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void
test_bad_events(void)
{
	static const char *const bad[] = {
		STREAM "garbage\n" EVENT("start", ""), STREAM "[]\n" EVENT("start", ""),
		STREAM "{\"Action\":\"die\"}\n" EVENT("start", ""),
		STREAM "{\"Action\":7,\"Actor\":{\"ID\":\"" ID "\"}}\n" EVENT("start", ""),
		STREAM "{\"Action\":\"die\",\"Actor\":{\"ID\":\"x\"}}\n" EVENT("start", ""),
		STREAM "{\"Action\":\"die\",\"Actor\":{\"ID\":\"" ID "\"},\"timeNano\":\"x\"}\n" EVENT("start", "")
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		Script		script = {.raw = bad[i], .hold = true};
		int			before;

		begin(&script);
		before = open_descriptors();
		(void) engine_events(engine, 5, 0);
		engine_reply_free(next_event());
		check(next_event(), ENGINE_LOST, "malformed", "a malformed event ends the stream");
		ok(wait_reply(100) == NULL, "and what follows is not believed");
		ok(open_descriptors() < before, "its connection is closed");
		end();
	}
}

static void
check_history(const char *body, bool started, const char *name)
{
	Script		script = {.body = body};
	EngineReply *reply = call_with(&script, ENGINE_HISTORY);

	ok(reply->outcome == ENGINE_OK && reply->started == started, "%s", name);
	has_text(peer.log->last, "/events?since=1&until=", "all that is remembered");
	engine_reply_free(reply);
	end();
}

/* /info says how far the Engine's clock is from ours; its history ends by its own. */
static void
check_clock(int64_t offset_s)
{
	char		info[100];
	char		when[40];
	time_t		then = time(NULL) + offset_s;
	struct tm	tm;
	Script		script = {.body = EVENT("create", ""), .info = info};
	EngineReply *reply;
	const char *until;
	int64_t		off;

	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S.000000000Z", gmtime_r(&then, &tm));
	snprintf(info, sizeof(info), "{\"ID\":\"E\",\"SystemTime\":\"%s\"}", when);
	reply = call_with(&script, ENGINE_HISTORY);
	until = strstr(peer.log->last, "until=");
	off = until != NULL ? atoll(until + 6) - time(NULL) - offset_s : 99;
	ok(off >= 0 && off <= 2, "a clock that is %lld s off: off by %lld s", (long long) offset_s, (long long) off);
	ok(llabs(engine_clock_offset_us(engine) / 1000000 - offset_s) <= 2, "is known");
	engine_reply_free(reply);
	end();
}

static void
test_history(void)
{
	check_clock(0);
	check_clock(86400);
	check_clock(-86400);
	check_history("", true, "forgotten, so it may have been started");
	check_history(EVENT("create", ""), false, "never started");
	check_history(EVENT("create", "") EVENT("start", ""), true, "started");
	check_history(EVENT("create", "") EVENT("die", ""), false, "another event");
	check_history(EVENT("create", "") "{\"Action\":\"start\",\"Actor\":{\"ID\":\"" OTHER "\"}}\n", false, "another container");
}

/* ---- logs ---- */

static EngineReply *
log_of(const char *bytes, size_t length, bool tty)
{
	Script		script = {.body = bytes, .length = length};
	EngineReply *reply;

	begin(&script);
	reply = reply_to(engine_logs(engine, 1, ID, 100, tty));
	end();
	return reply;
}

static void
check_log(const char *bytes, size_t length, bool tty, const char *wanted, const char *name)
{
	EngineReply *reply = log_of(bytes, length, tty);

	is_text(reply->text, wanted, name);
	is_int(reply->outcome, ENGINE_OK, "is no error");
	engine_reply_free(reply);
}

#define BYTES(text) text, sizeof(text) - 1

static void
test_logs(void)
{
	check_log(BYTES("\1\0\0\0\0\0\0\3one\2\0\0\0\0\0\0\4two\n"), false, "onetwo\n", "two frames");
	check_log(BYTES("plain\n"), true, "plain\n", "a terminal's log");
	check_log(BYTES("plain\n"), false, "", "no frame at all");
	check_log(BYTES("\1\0\0\0\0\0\0\3one\1\0\0\0\xff\xff\xff\xff" "rest"), false, "onerest", "a false length");
	check_log(BYTES("\1\0\0\0\x80\0\0\0"), false, "", "a false length and nothing");
	check_log(BYTES("\1\0\0\0\0\0\0\3one\1\0\0"), false, "one", "a head cut off");
	check_log(BYTES("\1\0\0\0\0\0\0\3one\7\0\0\0\0\0\0\1x"), false, "one", "a stream that is none");
	check_log(BYTES("\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\1x"), false, "x", "an empty frame");
	check_log(BYTES("a\0b\xff" "c\xc0\x80" "d\xed\xa0\x80" "e\xf5\x80\x80\x80" "f\xe2\x82"), true,
			  "a?b?c??d???e????f??", "what is no UTF-8");
	check_log(BYTES("\xe0\x80\x80\xf0\x80\x80\x80"), true, "???????", "longer than it need be");
	check_log(BYTES("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), true, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "what is");
}

static void
test_large_logs(void)
{
	size_t		length = 3 * 1024 * 1024;
	char	   *bytes = malloc(length);
	Script		script = {.body = "\1\0\0\0\0\0\0\4last", .length = 12, .large_unless_one = true};
	Script		too_long = {.large_unless_one = true};
	EngineReply *reply;

	for (size_t i = 0; i < length; i += 3)
		memcpy(bytes + i, "\xe2\x82\xac", 3);
	reply = log_of(bytes, length, true);
	ok(strlen(reply->text) <= 1024 * 1024 && strlen(reply->text) > 1024 * 1024 - 3 &&
	   memcmp(reply->text, "\xe2\x82\xac", 3) == 0 && strchr(reply->text, '?') == NULL,
	   "the end of a large log, cut between characters");
	engine_reply_free(reply);
	free(bytes);

	begin(&script);
	reply = reply_to(engine_logs(engine, 1, ID, 100, false));
	is_text(reply->text, "last", "of a log too large fewer lines are asked for");
	has_text(peer.log->last, "tail=1 ", "down to one");
	engine_reply_free(reply);
	end();
	script = too_long;
	begin(&script);
	reply = reply_to(engine_logs(engine, 1, ID, 0, false));
	has_text(reply->text, "too long", "and if that is too long, the log says so");
	is_int(reply->outcome, ENGINE_OK, "which is no error");
	engine_reply_free(reply);
	end();
}

/* ---- the rest ---- */

static void
test_names(void)
{
	Script		network = {.body = "{\"Id\":\"" ID "\",\"Name\":\"net\"}"};
	Script		other = {.body = "{\"Id\":\"" ID "\",\"Name\":\"network\"}"};
	Script		image = {.body = "{\"Id\":\"sha256:1\"}"};

	check(call_with(&network, ENGINE_NETWORK), ENGINE_OK, NULL, "a network");
	end();
	check(call_with(&other, ENGINE_NETWORK), ENGINE_ABSENT, "net", "another network");
	end();
	check(call_with(&image, ENGINE_IMAGE), ENGINE_OK, NULL, "an image");
	end();
}

static void
test_close(void)
{
	Script		script = {.body = "{}"};

	begin(&script);
	(void) engine_start(engine, 7, ID);
	(void) engine_start(engine, 8, "");
	engine_run(engine);
	end();						/* closes with calls under way */
}

int
main(void)
{
	alarm(900);
	test_connect();
	test_refusals();
	test_dropped();
	test_malformed();
	test_enormous();
	test_long_lists();
	test_list();
	test_labels();
	test_inspect();
	test_paths();
	test_pull();
	test_events();
	test_bad_events();
	test_history();
	test_logs();
	test_large_logs();
	test_names();
	test_close();
	return tap_end();
}
