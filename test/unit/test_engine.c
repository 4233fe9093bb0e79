/*
 * test_engine.c
 *		engine.c and http.c (and what spec.c makes) against a real Docker Engine.
 *
 * The script with_engine.sh starts the Engine and says where things are:
 *		UNIT_ENGINE		unix:///...
 *		UNIT_TLS		tcp://localhost:port, the same Engine behind TLS
 *		UNIT_CERTS		directory with good/ and other certificates
 * It has an image "unit:1" (busybox, and a psql that prints LIVE at the second
 * call) and a network "unit".
 */
#define _GNU_SOURCE
#include "pump.h"
#include "spec.h"
#include "tap.h"

#include <unistd.h>

#define STACK "unit-stack"

static const SpecContext context = {
	.stack_name = "unit", .network = "unit", .app = "app", .image = "unit:1",
	.helper_image = "unit:1", .postgres_url = "postgres://u@h/d"
};

static EngineReply *
expect(EngineReply *reply, EngineOutcome outcome, const char *name)
{
	ok(reply->outcome == outcome, "%s: %s", name, outcome_name(outcome));
	if (reply->outcome != outcome)
		diag("%s, status %d: %s", outcome_name(reply->outcome), reply->status, reply->error);
	return reply;
}

static void
check(bool sent, EngineOutcome outcome, const char *name)
{
	engine_reply_free(expect(reply_to(sent), outcome, name));
}

static void
check_error(bool sent, EngineOutcome outcome, const char *error, const char *name)
{
	EngineReply *reply = expect(reply_to(sent), outcome, name);

	has_text(reply->error, error, "and says why");
	engine_reply_free(reply);
}

static void
make_body(const char *spec, SpecContainer *container)
{
	static const SpecLabels labels = {.stack_id = STACK, .run = 7, .attempt = 2};
	SpecError	error;

	if (!spec_build(&context, "sync", spec, 1, &labels, container, &error))
	{
		diag("%s", error.message);
		abort();
	}
}

/* Create a container of a spec; its id is in to. */
static void
create(const char *name, const char *spec, char *to)
{
	SpecContainer container;
	EngineReply *reply;

	make_body(spec, &container);
	reply = expect(reply_to(engine_create(engine, 1, name, container.body)), ENGINE_OK, name);
	if (reply->count != 1)
		abort();
	strcpy(to, reply->containers[0].id);
	engine_reply_free(reply);
	spec_free(&container);
}

static EngineContainer
inspect(const char *id)
{
	EngineReply *reply = reply_to(engine_inspect(engine, 1, id));
	EngineContainer container;

	if (reply->count != 1)
	{
		diag("%s", reply->error);
		abort();
	}
	container = reply->containers[0];
	engine_reply_free(reply);
	return container;
}

static EngineContainer
wait_exit(const char *id)
{
	EngineContainer container;

	for (int i = 0; i < 300; i++)
	{
		container = inspect(id);
		if (container.state == ENGINE_STATE_EXITED)
			break;
		poll(NULL, 0, 100);
	}
	return container;
}

static void
check_log(const char *id, bool tty, const char *wanted, const char *name)
{
	EngineReply *reply = expect(reply_to(engine_logs(engine, 1, id, 100, tty)), ENGINE_OK, name);

	is_text(reply->text, wanted, name);
	engine_reply_free(reply);
}

static int
count_listed(void)
{
	EngineReply *reply = expect(reply_to(engine_list(engine, 1)), ENGINE_OK, "list");
	int			count = (int) reply->count;

	for (int i = 0; i < count; i++)
		if (!reply->containers[i].labels.ours)
			count = -1;
	engine_reply_free(reply);
	return count;
}

static void
test_connect(void)
{
	open_engine(getenv("UNIT_ENGINE"), "", STACK, 30000);
	check(engine_connect(engine, 1), ENGINE_OK, "connect");
	ok(strncmp(engine_api_version(engine), "1.", 2) == 0, "API %s", engine_api_version(engine));
	ok(strlen(engine_identity(engine)) > 10, "identity %s", engine_identity(engine));
	is_int(count_listed(), 0, "nothing of ours is there");
}

static void
test_images_and_networks(void)
{
	check(engine_image(engine, 1, "unit:1"), ENGINE_OK, "an image");
	check_error(engine_image(engine, 1, "no/such:1"), ENGINE_ABSENT, "No such image", "no image");
	check(engine_network(engine, 1, "unit"), ENGINE_OK, "a network");
	check(engine_network(engine, 1, "bridge-of-none"), ENGINE_ABSENT, "no network");
	check(engine_network(engine, 1, "host"), ENGINE_OK, "the host's network");
	/* nobody listens there: the registry cannot be reached */
	check_error(engine_pull(engine, 1, "127.0.0.1:1/no/such:1"), ENGINE_REFUSED, "127.0.0.1:1", "a pull that fails");
	check(engine_pull(engine, 1, "UPPER"), ENGINE_REFUSED, "an image's name that is none");
}

/* A job from create to remove, and the events of it. */
static void
test_job(void)
{
	char		id[ENGINE_ID_MAX];
	EngineContainer container;

	create("unit-job", "{\"Cmd\":[\"sh\",\"-c\",\"echo out; sleep 0.3; echo err >&2; sleep 1; exit 3\"]}", id);
	container = inspect(id);
	ok(container.state == ENGINE_STATE_CREATED && container.started_at == 0, "is created");
	ok(container.labels.ours && strcmp(container.labels.stack_id, STACK) == 0 &&
	   container.labels.run == 7 && container.labels.attempt == 2 &&
	   strcmp(container.labels.role, "sync") == 0, "with our labels");
	is_text(container.name, "unit-job", "and its name");
	check_error(engine_create(engine, 1, "unit-job", "{\"Image\":\"unit:1\",\"Cmd\":[\"true\"]}"), ENGINE_CONFLICT, "unit-job", "a taken name");
	is_int(count_listed(), 1, "the list has it");
	check(engine_start(engine, 1, id), ENGINE_OK, "start");
	container = inspect("unit-job");
	ok(container.state == ENGINE_STATE_RUNNING && container.started_at > 0, "it runs");
	check(engine_start(engine, 1, id), ENGINE_OK, "start of a running one");
	check(engine_remove(engine, 1, id), ENGINE_CONFLICT, "remove of a running one");
	container = wait_exit(id);
	ok(container.exit_code == 3 && container.finished_at > container.started_at && !container.oom_killed, "its exit code");
	check_log(id, false, "out\nerr\n", "its log");
	check(engine_remove(engine, 1, id), ENGINE_OK, "remove");
	check_error(engine_remove(engine, 1, id), ENGINE_ABSENT, "No such container", "remove again");
	check(engine_inspect(engine, 1, id), ENGINE_ABSENT, "inspect what is gone");
	check(engine_start(engine, 1, id), ENGINE_ABSENT, "start what is gone");
}

static void
test_refusals(void)
{
	char		id[ENGINE_ID_MAX];
	SpecContainer body;

	check_error(engine_create(engine, 1, "unit-none", "{\"Image\":\"no/such:1\"}"), ENGINE_ABSENT, "No such image", "create without image");
	check(engine_create(engine, 1, "x", "{\"Image\":\"unit:1\",\"Cmd\":[\"true\"]}"), ENGINE_REFUSED, "a name too short");
	check(engine_create(engine, 1, "unit-bad", "{\"Image\":"), ENGINE_REFUSED, "a body that is no JSON");
	create("unit-exec", "{\"Entrypoint\":[\"--url=postgres://u:geheim@h\"]}", id);
	check_error(engine_start(engine, 1, id), ENGINE_REFUSED, "exec: \"...\"", "a command that is none");
	ok(strstr(inspect(id).error, "geheim") == NULL && inspect(id).error[0] != '\0', "no password in the state either");
	check(engine_remove(engine, 1, id), ENGINE_OK, "remove it");
	create("unit-lost", "{\"Cmd\":[\"true\"],\"HostConfig\":{\"NetworkMode\":\"gone\"}}", id);
	check_error(engine_start(engine, 1, id), ENGINE_ABSENT, "gone", "a network that is none");
	check(engine_remove(engine, 1, id), ENGINE_OK, "remove it");
	/* 1e+15 would be refused */
	make_body("{\"Cmd\":[\"true\"],\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Interval\":1000000000000000}}", &body);
	check(engine_create(engine, 1, "unit-number", body.body), ENGINE_OK, "large whole numbers");
	spec_free(&body);
	check(engine_remove(engine, 1, "unit-number"), ENGINE_OK, "remove by name");
}

static void
test_service(void)
{
	char		id[ENGINE_ID_MAX];
	EngineContainer container;
	EngineReply *reply;

	create("unit-service", "{\"Cmd\":[\"sh\",\"-c\",\"trap 'exit 5' TERM; while :; do sleep 0.1; done\"],"
		   "\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Interval\":200000000}}", id);
	reply = expect(reply_to(engine_history(engine, 1, id)), ENGINE_OK, "history");
	ok(!reply->started, "it was never started");
	engine_reply_free(reply);
	check(engine_start(engine, 1, id), ENGINE_OK, "start");
	for (int i = 0; i < 100 && (container = inspect(id)).health != ENGINE_HEALTH_HEALTHY; i++)
		poll(NULL, 0, 100);
	is_int(container.health, ENGINE_HEALTH_HEALTHY, "it becomes healthy");
	reply = reply_to(engine_list(engine, 1));
	ok(reply->count == 1 && reply->containers[0].health == ENGINE_HEALTH_HEALTHY &&
	   reply->containers[0].state == ENGINE_STATE_RUNNING && strcmp(reply->containers[0].name, "unit-service") == 0,
	   "in the list too");
	engine_reply_free(reply);
	ok(llabs(engine_clock_offset_us(engine)) < 5000000, "its clock is ours");
	is_int(inspect(id).stop_timeout, 30, "it names the time to stop in");
	check(engine_stop(engine, 1, id, -1), ENGINE_OK, "stop");
	is_int(inspect(id).exit_code, 5, "its trap ran");
	check(engine_stop(engine, 1, id, 20), ENGINE_OK, "stop again");
	reply = expect(reply_to(engine_history(engine, 1, id)), ENGINE_OK, "history");
	ok(reply->started, "it was started");
	engine_reply_free(reply);
	check(engine_start(engine, 1, id), ENGINE_OK, "start again");
	check(engine_kill(engine, 1, id, "SIGKILL"), ENGINE_OK, "kill");
	is_int(wait_exit(id).exit_code, 137, "it is dead");
	check(engine_kill(engine, 1, id, "SIGKILL"), ENGINE_CONFLICT, "kill again");
	check(engine_remove(engine, 1, id), ENGINE_OK, "remove");
}

static void
run_job(const char *name, const char *spec, char *id)
{
	create(name, spec, id);
	check(engine_start(engine, 1, id), ENGINE_OK, "start");
	(void) wait_exit(id);
}

static void
test_logs(void)
{
	char		id[ENGINE_ID_MAX];

	run_job("unit-tty", "{\"Tty\":true,\"Cmd\":[\"echo\",\"on a terminal\"]}", id);
	ok(inspect(id).tty, "has a terminal");
	check_log(id, true, "on a terminal\r\n", "a terminal's log");
	check(engine_remove(engine, 1, id), ENGINE_OK, "remove");

	run_job("unit-bytes", "{\"Cmd\":[\"printf\",\"a\\\\0b\\\\377c\\\\303\\\\251\\\\n\"]}", id);
	check_log(id, false, "a?b\xef\xbf\xbd" "c\xc3\xa9\n", "a log that is no UTF-8");
	check(engine_remove(engine, 1, id), ENGINE_OK, "remove");

	run_job("unit-silent", "{\"Cmd\":[\"echo\",\"x\"],\"HostConfig\":{\"LogConfig\":{\"Type\":\"none\"}}}", id);
	check_log(id, false, "(the log driver of this container keeps no log that can be read)", "the log driver none");
	check(engine_remove(engine, 1, id), ENGINE_OK, "remove");

	run_job("unit-lines", "{\"Cmd\":[\"seq\",\"1\",\"1000\"]}", id);
	{
		EngineReply *reply = reply_to(engine_logs(engine, 1, id, 2, false));

		is_text(reply->text, "999\n1000\n", "the last two lines");
		engine_reply_free(reply);
	}
	check(engine_remove(engine, 1, id), ENGINE_OK, "remove");
}

/* HAF's live_sync by convention, with the image's psql. */
static void
test_live_sync(void)
{
	SpecContext haf = context;
	SpecContainer container;
	SpecError	error;
	SpecLabels	labels = {.stack_id = STACK, .run = 1, .attempt = 1};
	EngineReply *reply;
	char		id[ENGINE_ID_MAX];

	haf.app = NULL;
	ok(spec_build(&haf, "live_sync", "true", 1, &labels, &container, &error), "HAF's live_sync");
	reply = expect(reply_to(engine_create(engine, 1, container.name, container.body)), ENGINE_OK, "create");
	strcpy(id, reply->containers[0].id);
	engine_reply_free(reply);
	spec_free(&container);
	check(engine_start(engine, 1, id), ENGINE_OK, "start");
	is_int(wait_exit(id).exit_code, 0, "ends when psql says LIVE");
	check_log(id, false, "asked postgres://u@h/d\nasked postgres://u@h/d\n", "after having asked twice");
	check(engine_remove(engine, 1, id), ENGINE_OK, "remove");
}

/* The next event of an action; others are passed over. */
static EngineReply *
wait_event(EngineAction action)
{
	EngineReply *reply;

	while ((reply = wait_reply(20000)) != NULL)
	{
		if (reply->event && reply->action == action)
			return reply;
		engine_reply_free(reply);
	}
	abort();
}

static void
test_events(void)
{
	char		id[ENGINE_ID_MAX];
	SpecContainer container;
	EngineReply *reply;
	int64_t		seen;

	ok(engine_events(engine, 99, 0), "events");
	reply = wait_reply(10000);
	ok(reply != NULL && reply->outcome == ENGINE_OK && !reply->event && reply->tag == 99, "the stream opens");
	engine_reply_free(reply);
	(void) engine_create(engine, 1, "unit-foreign", "{\"Image\":\"unit:1\",\"Cmd\":[\"true\"]}");
	reply = wait_reply(10000);
	ok(reply->call == ENGINE_CREATE && reply->outcome == ENGINE_OK, "a foreign container");
	engine_reply_free(reply);
	is_int(count_listed(), 0, "is not in our list");
	make_body("{\"Cmd\":[\"sh\",\"-c\",\"exit 4\"]}", &container);
	(void) engine_create(engine, 1, "unit-events", container.body);
	spec_free(&container);
	reply = wait_event(ENGINE_ACTION_CREATE);
	strcpy(id, reply->containers[0].id);
	ok(reply->containers[0].labels.ours &&
	   strcmp(reply->containers[0].name, "unit-events") == 0, "ours is announced, the other is not");
	engine_reply_free(reply);
	(void) engine_start(engine, 2, id);
	reply = wait_event(ENGINE_ACTION_DIE);
	is_int(reply->containers[0].exit_code, 4, "its end is announced, with the exit code");
	seen = reply->event_at;
	ok(llabs(seen / 1000000 - (int64_t) time(NULL)) < 30, "and the time");
	engine_reply_free(reply);
	(void) engine_remove(engine, 3, id);
	engine_reply_free(wait_event(ENGINE_ACTION_DESTROY));
	engine_close(engine);
	open_engine(getenv("UNIT_ENGINE"), "", STACK, 30000);
	check(engine_connect(engine, 1), ENGINE_OK, "connect again");
	ok(engine_events(engine, 98, seen), "events since then");
	reply = wait_event(ENGINE_ACTION_DESTROY);
	is_int((long long) reply->tag, 98, "come again");
	engine_reply_free(reply);
	engine_close(engine);
	open_engine(getenv("UNIT_ENGINE"), "", STACK, 30000);
	check(engine_connect(engine, 1), ENGINE_OK, "and again");
	check(engine_remove(engine, 1, "unit-foreign"), ENGINE_OK, "remove the foreign one");
}

static void
test_many(void)
{
	char		ids[20][ENGINE_ID_MAX];
	int			good = 0;
	EngineReply *reply;
	SpecContainer container;

	make_body("{\"Cmd\":[\"true\"]}", &container);
	for (uint64_t i = 0; i < 20; i++)
	{
		char		name[32];

		snprintf(name, sizeof(name), "unit-many-%d", (int) i);
		(void) engine_create(engine, i, name, container.body);
	}
	spec_free(&container);
	for (int i = 0; i < 20; i++)
	{
		reply = wait_reply(60000);
		good += reply->outcome == ENGINE_OK && reply->tag < 20;
		strcpy(ids[reply->tag], reply->containers[0].id);
		engine_reply_free(reply);
	}
	is_int(good, 20, "are all created");
	is_int(count_listed(), 20, "and listed");
	for (uint64_t i = 0; i < 20; i++)
		(void) engine_remove(engine, i, ids[i]);
	for (int i = 0; i < 20; i++)
		engine_reply_free(wait_reply(60000));
	is_int(count_listed(), 0, "and removed");
}

/* ---- TLS ---- */

static void
check_tls(const char *host, const char *certificates, bool good, const char *name)
{
	char		path[512];
	EngineReply *reply;

	snprintf(path, sizeof(path), "%s/%s", getenv("UNIT_CERTS"), certificates);
	open_engine(host, path, STACK, 10000);
	reply = reply_to(engine_connect(engine, 1));
	ok((reply->outcome == ENGINE_OK) == good, "%s", name);
	if (reply->outcome != ENGINE_OK)
		diag("%s: %s", outcome_name(reply->outcome), reply->error);
	engine_reply_free(reply);
	engine_close(engine);
}

static void
test_tls(void)
{
	const char *host = getenv("UNIT_TLS");
	char		other[128];

	check_tls(host, "good", true, "TLS with certificates");
	check_tls(host, "doubter", false, "a server that another CA vouches for");
	check_tls(host, "stranger", false, "a client that another CA vouches for");
	snprintf(other, sizeof(other), "tcp://127.0.0.1:%s", strrchr(host, ':') + 1);
	check_tls(other, "good", false, "a server with another name");
	open_engine(host, "", STACK, 10000);
	check_error(engine_connect(engine, 1), ENGINE_REFUSED, "HTTPS", "without TLS");
	engine_close(engine);
}

int
main(void)
{
	alarm(900);
	test_connect();
	test_images_and_networks();
	test_job();
	test_refusals();
	test_service();
	test_logs();
	test_live_sync();
	test_events();
	test_many();
	engine_close(engine);
	test_tls();
	return tap_end();
}
