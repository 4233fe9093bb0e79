/*
 * test_spec.c
 *		spec.c: from what operators write to what the Engine is sent.
 */
#define _GNU_SOURCE
#include "spec.h"
#include "tap.h"

#include <cjson/cJSON.h>

static const SpecContext plain = {
	.stack_name = "haf", .postgres_url = "postgres://haf_admin:geheim@db:5433/haf_block_log",
	.network = "net", .haf_image = "haf:1", .helper_image = "helper:1",
	.vars = "{\"registry\":\"hiveio\",\"version\":1.28,\"flag\":true,\"braces\":\"{{app}}\",\"key\":\"Cmd\"}",
	.app = "my-app", .app_root = "/srv/my-app", .image = "me/app:1"
};
static SpecContext context;
static SpecError error;
static SpecContainer container;

static bool
build(const char *role, const char *spec, int ordinal)
{
	return spec_build(&context, role, spec, ordinal, NULL, &container, &error);
}

/* What stands at a path of the body, "HostConfig/NetworkMode", as JSON text. */
static char *
at(const char *path)
{
	cJSON	   *json = cJSON_Parse(container.body);
	cJSON	   *item = json;
	char		copy[256];
	char	   *step;
	char	   *rest = copy;
	char	   *text;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((step = strsep(&rest, "/")) != NULL)
		item = cJSON_GetObjectItemCaseSensitive(item, step);
	text = item != NULL ? cJSON_PrintUnformatted(item) : strdup("");
	cJSON_Delete(json);
	return text;
}

/* Build the only container of a role, and look at one place in its body. */
static void
check(const char *role, const char *spec, const char *path, const char *wanted)
{
	char		name[200];
	char	   *text;

	snprintf(name, sizeof(name), "%.100s: %s", spec, path);
	if (!build(role, spec, 1))
	{
		ok(false, "%s", name);
		diag("%s %s", error.sqlstate, error.message);
		return;
	}
	text = at(path);
	is_text(text, wanted, name);
	free(text);
	spec_free(&container);
}

static void
check_error(const char *role, const char *spec, const char *sqlstate, const char *message,
			const char *hint)
{
	int			count = spec_count(&context, role, spec, &error);
	bool		good = count < 0;

	for (int i = 1; i <= count && !good; i++)
	{
		good = !build(role, spec, i);
		spec_free(&container);
	}
	good = good && strcmp(error.sqlstate, sqlstate) == 0 &&
		strstr(error.message, message) != NULL && strstr(error.hint, hint) != NULL &&
		strstr(error.message, "geheim") == NULL && strstr(error.hint, "geheim") == NULL;
	ok(good, "%.100s: %s", spec, message);
	if (!good)
		diag("%s %s (%s)", error.sqlstate, error.message, error.hint);
}

/* ---- forms ---- */

static void
check_count(const char *role, const char *spec, int wanted)
{
	ok(spec_count(&context, role, spec, &error) == wanted, "%s: %d of %s",
	   spec != NULL ? spec : "NULL", wanted, role);
}

static void
test_forms(void)
{
	char		many[1000] = "[";

	check_count("sync", NULL, 0);
	check_count("sync", "null", 0);
	check_count("sync", "\"i\"", 1);
	check_count("sync", "{}", 1);
	check_count("api", "[\"i\", {}, \"j\"]", 3);
	check_count("setup", "true", 1);
	check_count("setup", "[true, \"i\"]", 2);
	check_count("index", "true", 1);
	check_count("live_sync", "true", 1);
	check_error("sync", "true", "22023", "no convention", "index, setup and live_sync");
	check_error("api", "[\"i\", true]", "22023", "no convention", "an image");
	check_error("sync", "false", "22023", "role \"sync\" of app \"my-app\"", "null, true");
	check_error("sync", "7", "22023", "string or an object", "");
	check_error("sync", "[]", "22023", "empty", "null");
	check_error("sync", "[[\"i\"]]", "22023", "string or an object", "");
	check_error("sync", "[null]", "22023", "string or an object", "");
	check_error("sync", "\"\"", "22023", "not the name of an image", "");
	check_error("sync", "", "22023", "not valid JSON", "");
	check_error("sync", "{} {}", "22023", "not valid JSON", "");
	check_error("sync", "{\"Cmd\": [\"a\\u0000b\"]}", "22023", "not valid JSON", "");
	check_error("sync", "{\"x\": 01}", "22023", "not valid JSON", "");
	check_error("instance", "\"i\"", "22023", "there is no role \"instance\"", "");
	for (int i = 0; i < 65; i++)
		strcat(many, i == 0 ? "\"i\"" : ",\"i\"");
	strcat(many, "]");
	check_error("api", many, "54000", "more than 64", "");
	ok(!build("api", "[\"i\",\"j\"]", 3) && !build("api", "[\"i\"]", 0) && !build("api", NULL, 1),
	   "a container that there is not");
	context.app = NULL;
	check_count("instance", "{}", 1);
	check_count("live_sync", "true", 1);
	check_error("instance", "true", "22023", "role \"instance\" of HAF", "");
	check_error("sync", "\"i\"", "22023", "there is no role \"sync\" of HAF", "");
	context = plain;
}

static void
test_image(void)
{
	check("sync", "\"a/b:1\"", "Image", "\"a/b:1\"");
	check("sync", "{}", "Image", "\"me/app:1\"");
	check("sync", "{\"Image\":\"{{registry}}/x:{{version}}\"}", "Image", "\"hiveio/x:1.28\"");
	context.image = "{{registry}}/y";
	check("sync", "{}", "Image", "\"hiveio/y\"");
	context.defaults = "{\"Image\":\"lowest\"}";
	check("sync", "{}", "Image", "\"hiveio/y\"");
	context.image = NULL;
	check("sync", "{}", "Image", "\"lowest\"");
	context.defaults = NULL;
	check_error("sync", "{}", "22023", "names no image", "argument image");
	check_error("sync", "{\"Image\":null}", "22023", "names no image", "");
	check_error("sync", "{\"Image\":\"a b\"}", "22023", "\"a b\"", "");
	check_error("sync", "{\"Image\":7}", "22023", "\"Image\" must be a string", "");
	context.app = NULL;
	check("instance", "{}", "Image", "\"haf:1\"");
	check("live_sync", "{}", "Image", "\"helper:1\"");
	context = plain;
}

/* ---- merging ---- */

static void
test_merge(void)
{
	context.defaults = "{\"Env\":[\"A=1\"],\"HostConfig\":{\"Memory\":1,\"LogConfig\":{\"Type\":\"local\",\"Config\":{\"a\":\"b\"}}},"
		"\"Labels\":{\"x\":\"1\",\"y\":\"2\"},\"Tty\":true}";
	check("sync", "{}", "Env", "[\"A=1\"]");
	check("sync", "{\"Env\":[\"B=2\"]}", "Env", "[\"B=2\"]");
	check("sync", "{\"Env\":null}", "Env", "");
	check("sync", "{\"HostConfig\":{\"LogConfig\":{\"Config\":{\"c\":\"d\"}}}}", "HostConfig/LogConfig",
		  "{\"Type\":\"local\",\"Config\":{\"a\":\"b\",\"c\":\"d\"}}");
	check("sync", "{\"HostConfig\":{\"LogConfig\":null}}", "HostConfig/LogConfig", "");
	check("sync", "{\"HostConfig\":{\"Memory\":2}}", "HostConfig/Memory", "2");
	check("sync", "{\"Labels\":{\"x\":null}}", "Labels/x", "");
	check("sync", "{\"Labels\":{\"x\":null}}", "Labels/y", "\"2\"");
	check("sync", "{\"Tty\":false}", "Tty", "false");
	check("sync", "{\"New\":{\"a\":{\"b\":null,\"c\":[null,{\"d\":null}]}}}", "New", "{\"a\":{\"c\":[null,{\"d\":null}]}}");
	check("sync", "{\"Tty\":null}", "Tty", "");
	check("setup", "true", "Env", "[\"A=1\"]");
	context.defaults = "null";
	check("sync", "{}", "Env", "");
	context = plain;
}

static void
test_numbers(void)
{
	check("sync", "{\"HostConfig\":{\"Memory\":8589934592}}", "HostConfig/Memory", "8589934592");
	ok(build("sync", "{\"a\":30000000000,\"b\":[1000000000000000,{\"c\":9007199254740993}],\"d\":-9223372036854775808,"
			 "\"e\":1.50,\"f\":1E+3,\"g\":\"7\\\"8\",\"h\":0}", 1), "numbers");
	has_text(container.body, "\"a\":30000000000,\"b\":[1000000000000000,{\"c\":9007199254740993}],\"d\":-9223372036854775808,"
			 "\"e\":1.50,\"f\":1E+3,\"g\":\"7\\\"8\",\"h\":0", "stay as they were written");
	spec_free(&container);
	context.defaults = "{\"n\":12345678901234567890}";
	ok(build("sync", "\"i\"", 1) && strstr(container.body, "\"n\":12345678901234567890") != NULL,
	   "in defaults too");
	spec_free(&container);
	context = plain;
}

/* ---- placeholders ---- */

static void
check_text(const char *text, const char *wanted)
{
	char		spec[1000];
	char		quoted[1000];

	snprintf(spec, sizeof(spec), "{\"WorkingDir\":\"%s\"}", text);
	snprintf(quoted, sizeof(quoted), "\"%s\"", wanted);
	check("sync", spec, "WorkingDir", quoted);
}

static void
check_text_error(const char *text, const char *message, const char *hint)
{
	char		spec[1000];

	snprintf(spec, sizeof(spec), "{\"WorkingDir\":\"geheim %s\"}", text);
	check_error("sync", spec, "22023", message, hint);
}

static void
test_placeholders(void)
{
	check_text("{{postgres_url}}", plain.postgres_url);
	check_text("{{network}}-{{name}}-{{app}}-{{app_root}}", "net-haf-my-app-/srv/my-app");
	check_text("{{postgres_host}}:{{postgres_port}}/{{postgres_db}}", "db:5433/haf_block_log");
	check_text("{{registry}}{{version}}{{flag}}", "hiveio1.28true");
	check_text("{{braces}}", "{{app}}");
	check_text("{ {app}} }}{", "{ {app}} }}{");
	check("sync", "{\"Labels\":{\"{{app}}.x\":\"y\"}}", "Labels/my-app.x", "\"y\"");
	check("sync", "{\"a\":[{\"b\":[\"{{app}}\"]}]}", "a", "[{\"b\":[\"my-app\"]}]");
	check("sync", "{\"{{key}}\":[\"x\"]}", "Cmd", "[\"x\"]");
	context.defaults = "{\"Env\":[\"X={{app}}\"]}";
	check("sync", "{}", "Env", "[\"X=my-app\"]");
	context.app = NULL;
	check("instance", "{}", "Env", "[\"X=haf\"]");
	context = plain;

	check_text_error("{{unknown}}", "unknown placeholder {{unknown}}", "postgres_url, postgres_host");
	check_text_error("{{unknown}}", "role \"sync\"", "registry, version");
	check_text_error("{{ app }}", "in \"WorkingDir\" is not well-formed", "vars");
	check_text_error("{{geheim b}}", "not well-formed", "");
	check_text_error("{{app", "not well-formed", "");
	check_text_error("{{}}", "not well-formed", "");
	check_error("sync", "{\"{{key}}\":[],\"Cmd\":[]}", "22023", "\"Cmd\" is there twice", "");
	check_error("sync", "{\"{{nokey}}\":[]}", "22023", "{{nokey}}", "");
	context.network = context.postgres_url = context.app_root = NULL;
	check_text_error("{{network}}", "{{network}}", "configure(network");
	check_text_error("{{postgres_url}}", "{{postgres_url}}", "configure(postgres_url");
	check_text_error("{{postgres_db}}", "{{postgres_db}}", "configure(postgres_url");
	check_text_error("{{app_root}}", "{{app_root}}", "alter_app(app_root");
	context = plain;
	context.vars = "{\"bad\":null,\"worse\":[1]}";
	check_text_error("{{bad}}", "unknown placeholder {{bad}}", "");
	check_text_error("{{worse}}", "unknown placeholder {{worse}}", "");
	context.vars = NULL;
	check_text_error("{{registry}}", "unknown placeholder {{registry}}", "app_root; others");
	context = plain;
}

static void
check_url(const char *url, const char *wanted)
{
	context.postgres_url = url;
	check_text("{{postgres_host}} {{postgres_port}} {{postgres_db}}", wanted);
	context = plain;
}

static void
check_url_error(const char *url, const char *placeholder, const char *message)
{
	context.postgres_url = url;
	check_text_error(placeholder, message, "postgres://user@host:port/database");
	context = plain;
}

static void
test_urls(void)
{
	check_url("postgresql://h/d", "h 5432 d");
	check_url("postgres://u:p@h/d", "h 5432 d");
	check_url("postgres://u:p%40%3A@h:1/d%20e", "h 1 d e");
	check_url("postgres://[::1]:7/d", "::1 7 d");
	check_url("postgres://u@[fe80::2]/d?sslmode=disable", "fe80::2 5432 d");
	check_url("postgres://u@h", "h 5432 u");
	check_url("postgres://h:9?dbname=x", "h 9 x");
	check_url("postgres:///d?host=%2Frun%2Fpg&port=6", "/run/pg 6 d");
	check_url("postgres://u:a:b@h/d", "h 5432 d");
	check_url_error("geheim", "{{postgres_host}}", "not a valid URI");
	check_url_error("mysql://geheim", "{{postgres_host}}", "not a valid URI");
	check_url_error("postgres://geheim%zz/d", "{{postgres_host}}", "not a valid URI");
	check_url_error("postgres://geheim%00/d", "{{postgres_host}}", "not a valid URI");
	check_url_error("postgres://[geheim/d", "{{postgres_host}}", "not a valid URI");
	check_url_error("postgres://[::1]x/d", "{{postgres_host}}", "not a valid URI");
	check_url_error("postgres://h/d?geheim", "{{postgres_host}}", "not a valid URI");
	check_url_error("postgres:///d", "{{postgres_host}}", "exactly one host");
	check_url_error("postgres://a,b/d", "{{postgres_host}}", "exactly one host");
	check_url_error("postgres://h:99999/d", "{{postgres_port}}", "exactly one port");
	check_url_error("postgres://h:geheim/d", "{{postgres_port}}", "exactly one port");
	check_url_error("postgres://h", "{{postgres_db}}", "no database");
}

/* ---- conventions ---- */

static void
test_conventions(void)
{
	char	   *command;

	check("setup", "true", "Image", "\"helper:1\"");
	check("setup", "true", "Entrypoint", "[\"/haf_app_root/scripts/setup_db.sh\"]");
	check("setup", "true", "Cmd", "[\"--postgres-url=postgres://haf_admin:geheim@db:5433/haf_block_log\"]");
	check("setup", "true", "HostConfig/Binds", "[\"/srv/my-app:/haf_app_root:ro\"]");
	check("index", "true", "Entrypoint", "[\"/haf_app_root/scripts/setup_haf_indexes.sh\"]");
	check("index", "true", "Image", "\"helper:1\"");
	check("live_sync", "true", "Entrypoint", "[\"/haf_app_root/scripts/wait_for_app_live_sync.sh\"]");
	context.bundled = true;
	check("index", "true", "Image", "\"haf:1\"");
	check("index", "true", "Cmd", "[\"--execute-maintenance-script=/haf_app_root/scripts/setup_haf_indexes.sh\"]");
	check("index", "true", "HostConfig/Binds", "[\"/srv/my-app:/haf_app_root:ro\"]");
	check("index", "true", "Entrypoint", "");
	check("setup", "true", "Image", "\"helper:1\"");
	context.haf_image = NULL;
	check("index", "true", "Image", "\"\"");
	context.bundled = false;
	context.helper_image = NULL;
	check_error("index", "true", "22023", "true needs", "helper_image");
	context = plain;
	context.app_root = NULL;
	check_error("setup", "true", "22023", "true needs", "app_root");
	context.app_root = "srv/x";
	check_error("setup", "true", "22023", "absolute path without a colon", "Docker host");
	context.app_root = "/srv:x";
	check_error("setup", "true", "22023", "absolute path without a colon", "");
	context = plain;
	context.postgres_url = NULL;
	check_error("setup", "true", "22023", "{{postgres_url}}", "configure(postgres_url");
	context = plain;
	context.app = NULL;
	context.image = NULL;
	check("live_sync", "true", "Image", "\"helper:1\"");
	check("live_sync", "true", "Env", "[\"HAFSTACK_POSTGRES_URL=postgres://haf_admin:geheim@db:5433/haf_block_log\",\"PGCONNECT_TIMEOUT=10\"]");
	ok(build("live_sync", "true", 1), "HAF's live_sync");
	command = at("Cmd");
	ok(strstr(command, "geheim") == NULL && strstr(command, "LIVE") != NULL, "has no URL in its command");
	free(command);
	spec_free(&container);
	context.helper_image = NULL;
	check_error("live_sync", "true", "22023", "true needs", "helper_image");
	context = plain;
}

/* ---- names ---- */

static void
check_name(const char *role, const char *spec, int ordinal, const char *name, const char *alias)
{
	char	   *aliases;

	if (!build(role, spec, ordinal))
	{
		ok(false, "%s", spec);
		diag("%s", error.message);
		return;
	}
	is_text(container.name, name, spec);
	aliases = at("NetworkingConfig/EndpointsConfig/net/Aliases");
	is_text(aliases, alias, "its aliases");
	free(aliases);
	spec_free(&container);
}

static void
test_names(void)
{
	check_name("sync", "\"i\"", 1, "haf-my-app-sync", "[\"my-app-sync\"]");
	check_name("live_sync", "\"i\"", 1, "haf-my-app-live-sync", "[\"my-app-live-sync\"]");
	check_name("api", "[\"i\"]", 1, "haf-my-app-api", "[\"my-app-api\"]");
	check_name("api", "[\"i\",\"j\"]", 2, "haf-my-app-api-2", "[\"my-app-api-2\"]");
	check_name("api", "{\"name\":\"{{name}}-own\",\"aliases\":[\"other\",\"my-app-api\"]}", 1,
			   "haf-own", "[\"my-app-api\",\"other\"]");
	context.app = NULL;
	check_name("instance", "{}", 1, "haf-instance", "[\"haf-instance\"]");
	check_name("live_sync", "true", 1, "haf-live-sync", "[\"haf-live-sync\"]");
	context = plain;
	check("api", "{\"name\":\"own\",\"aliases\":[\"x\"]}", "name", "");
	check("api", "{\"name\":\"own\",\"aliases\":[\"x\"]}", "aliases", "");
	check_error("api", "[{\"name\":\"same\"},{\"name\":\"same\"}]", "22023", "two containers are named \"same\"", "");
	check_error("api", "[{\"name\":\"haf-my-app-api-2\"},{}]", "22023", "two containers", "");
	check_error("api", "{\"name\":\"a\"}", "42602", "not a valid container name", "");
	check_error("api", "{\"name\":\"a/b\"}", "42602", "\"a/b\"", "");
	check_error("api", "{\"name\":\"-ab\"}", "42602", "", "");
	check_error("api", "{\"name\":\"\"}", "42602", "", "");
	check_error("api", "{\"name\":7}", "22023", "\"name\" must be a string", "");
	check_error("api", "{\"aliases\":\"x\"}", "22023", "\"aliases\" must be an array", "");
	check_error("api", "{\"aliases\":[7]}", "22023", "\"aliases\" must be an array", "");
	check_error("api", "{\"aliases\":[\"a b\"]}", "42602", "not a valid alias", "");
	ok(spec_name_valid("ab") && spec_name_valid("a_.-9") && !spec_name_valid("a") &&
	   !spec_name_valid("") && !spec_name_valid("_a") && !spec_name_valid("a b") &&
	   !spec_name_valid("a\xc3\xa9"), "names");
	ok(spec_name_valid("a1234567890123456789012345678901234567890123456789012345678901") &&
	   !spec_name_valid("a12345678901234567890123456789012345678901234567890123456789012"), "names' length");
}

/* ---- networks ---- */

static void
check_network(const char *spec, const char *network, const char *mode, const char *endpoints)
{
	char	   *text;

	if (!build("sync", spec, 1))
	{
		ok(false, "%s", spec);
		diag("%s", error.message);
		return;
	}
	ok((container.network == NULL && network == NULL) ||
	   (container.network != NULL && network != NULL && strcmp(container.network, network) == 0),
	   "%s: network %s", spec, network != NULL ? network : "none");
	text = at("HostConfig/NetworkMode");
	is_text(text, mode, "its mode");
	free(text);
	text = at("NetworkingConfig/EndpointsConfig");
	is_text(text, endpoints, "its endpoints");
	free(text);
	spec_free(&container);
}

static void
test_networks(void)
{
	static const char *const modes[] = {"host", "none", "bridge", "default", "container:abc"};

	check_network("{}", "net", "\"net\"", "{\"net\":{\"Aliases\":[\"my-app-sync\"]}}");
	check_network("{\"HostConfig\":{\"NetworkMode\":\"other\"}}", "other", "\"other\"",
				  "{\"other\":{\"Aliases\":[\"my-app-sync\"]}}");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
	{
		char		spec[200];
		char		mode[50];

		snprintf(spec, sizeof(spec), "{\"HostConfig\":{\"NetworkMode\":\"%s\"}}", modes[i]);
		snprintf(mode, sizeof(mode), "\"%s\"", modes[i]);
		check_network(spec, NULL, mode, "");
		snprintf(spec, sizeof(spec), "{\"aliases\":[\"x\"],\"HostConfig\":{\"NetworkMode\":\"%s\"}}", modes[i]);
		check_error("sync", spec, "22023", "aliases need a network", "network");
	}
	check_network("{\"HostConfig\":{\"NetworkMode\":null}}", NULL, "", "");
	check_network("{\"NetworkingConfig\":{\"EndpointsConfig\":{\"mine\":{}}}}", "mine", "\"mine\"",
				  "{\"mine\":{\"Aliases\":[\"my-app-sync\"]}}");
	check_network("{\"NetworkingConfig\":{\"EndpointsConfig\":{\"net\":{\"Aliases\":[\"own\"]}}}}", "net", "\"net\"",
				  "{\"net\":{\"Aliases\":[\"own\"]}}");
	check_network("{\"aliases\":[\"x\"],\"NetworkingConfig\":{\"EndpointsConfig\":{\"net\":{\"Aliases\":[\"own\"]}}}}",
				  "net", "\"net\"", "{\"net\":{\"Aliases\":[\"own\",\"x\"]}}");
	context.defaults = "{\"HostConfig\":{\"NetworkMode\":\"d\"}}";
	check_network("{}", "d", "\"d\"", "{\"d\":{\"Aliases\":[\"my-app-sync\"]}}");
	check_network("{\"HostConfig\":{\"NetworkMode\":null},\"NetworkingConfig\":{\"EndpointsConfig\":{\"mine\":{}}}}",
				  "mine", "\"mine\"", "{\"mine\":{\"Aliases\":[\"my-app-sync\"]}}");
	check_network("{\"NetworkingConfig\":{\"EndpointsConfig\":{\"mine\":{}}}}", "mine", "\"mine\"",
				  "{\"mine\":{\"Aliases\":[\"my-app-sync\"]}}");
	context.defaults = "{\"HostConfig\":{\"NetworkMode\":\"d\"},\"NetworkingConfig\":{\"EndpointsConfig\":{\"e\":{}}}}";
	check_network("{}", "d", "\"d\"", "{\"e\":{},\"d\":{\"Aliases\":[\"my-app-sync\"]}}");
	check_network("{\"HostConfig\":{\"NetworkMode\":null}}", "e", "\"e\"", "{\"e\":{\"Aliases\":[\"my-app-sync\"]}}");
	context = plain;
	check_network("{\"HostConfig\":{\"NetworkMode\":\"a\"},\"NetworkingConfig\":{\"EndpointsConfig\":{\"b\":{}}}}",
				  "a", "\"a\"", "{\"b\":{},\"a\":{\"Aliases\":[\"my-app-sync\"]}}");
	context.network = NULL;
	check_network("{}", NULL, "", "");
	check_network("{\"NetworkingConfig\":{\"EndpointsConfig\":{\"mine\":{}}}}", "mine", "\"mine\"",
				  "{\"mine\":{\"Aliases\":[\"my-app-sync\"]}}");
	check_error("sync", "{\"aliases\":[\"x\"]}", "22023", "aliases need a network", "configure(network");
	context.network = "host";
	check_network("{}", NULL, "\"host\"", "");
	context = plain;
	check_error("sync", "{\"NetworkingConfig\":{\"EndpointsConfig\":[]}}", "22023", "\"EndpointsConfig\" must be an object", "");
	check_error("sync", "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"n\":7}}}", "22023", "object of objects", "");
	check_error("sync", "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"n\":{\"Aliases\":\"x\"}}}}", "22023", "\"Aliases\" must be", "");
}

/* ---- labels, restarts, checks ---- */

static void
test_labels(void)
{
	SpecLabels	labels = {.stack_id = "S", .run = 5000000000, .attempt = 3};
	char	   *text;

	ok(spec_build(&context, "api", "[\"i\",{\"Labels\":{\"a\":\"b\"}}]", 2, &labels, &container, &error), "labels");
	text = at("Labels");
	is_text(text, "{\"a\":\"b\",\"io.hafstack.id\":\"S\",\"io.hafstack.stack\":\"haf\",\"io.hafstack.app\":\"my-app\","
			"\"io.hafstack.role\":\"api\",\"io.hafstack.ordinal\":\"2\",\"io.hafstack.run\":\"5000000000\","
			"\"io.hafstack.attempt\":\"3\"}", "all of them");
	free(text);
	spec_free(&container);
	context.app = NULL;
	check("instance", "{}", "Labels/io.hafstack.app", "\"\"");
	context = plain;
	check_error("sync", "{\"Labels\":{\"io.hafstack.id\":\"geheim\"}}", "22023", "\"io.hafstack.id\" is reserved", "");
	check_error("sync", "{\"Labels\":{\"io.hafstack.x\":null}}", "22023", "is reserved", "");
	context.defaults = "{\"Labels\":{\"io.hafstack.{{app}}\":\"\"}}";
	check_error("sync", "{}", "22023", "\"io.hafstack.my-app\" is reserved", "");
	context = plain;
	check_error("sync", "{\"Labels\":[\"x\"]}", "22023", "\"Labels\" must be", "");
	check_error("sync", "{\"Labels\":{\"x\":7}}", "22023", "\"Labels\" must be", "");
	check_error("sync", "{\"labels\":{\"io.hafstack.id\":\"x\"}}", "22023", "\"labels\" must be written \"Labels\"", "");
}

static void
test_lifecycle(void)
{
	check("sync", "{}", "HostConfig/RestartPolicy", "{\"Name\":\"no\"}");
	check("sync", "{\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"no\",\"MaximumRetryCount\":0}}}",
		  "HostConfig/RestartPolicy", "{\"Name\":\"no\"}");
	check("sync", "{\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"\"},\"AutoRemove\":false}}",
		  "HostConfig/RestartPolicy", "{\"Name\":\"no\"}");
	check_error("sync", "{\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"always\"}}}", "22023", "RestartPolicy", "by itself");
	check_error("sync", "{\"HostConfig\":{\"RestartPolicy\":\"always\"}}", "22023", "\"RestartPolicy\" must be an object", "");
	check_error("sync", "{\"HostConfig\":{\"AutoRemove\":true}}", "22023", "AutoRemove", "exit code");
	check_error("sync", "{\"HostConfig\":{\"AutoRemove\":\"true\"}}", "22023", "\"AutoRemove\" must be", "");
	check_error("sync", "{\"hostconfig\":{}}", "22023", "must be written \"HostConfig\"", "");
	check_error("sync", "{\"HostConfig\":{\"autoremove\":true}}", "22023", "must be written \"AutoRemove\"", "");
	check_error("sync", "{\"HostConfig\":{\"RestartPolicy\":{\"name\":\"always\"}}}", "22023", "must be written \"Name\"", "");
	check_error("sync", "{\"HostConfig\":[]}", "22023", "\"HostConfig\" must be an object", "");
	context.defaults = "{\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"unless-stopped\"}}}";
	check_error("sync", "{}", "22023", "RestartPolicy", "");
	check("sync", "{\"HostConfig\":{\"RestartPolicy\":null}}", "HostConfig/RestartPolicy", "{\"Name\":\"no\"}");
	context = plain;
}

static void
test_container(void)
{
	check("sync", "{}", "StopTimeout", "30");
	check("sync", "{\"StopTimeout\":7}", "StopTimeout", "7");
	check_error("sync", "{\"StopTimeout\":-1}", "22023", "StopTimeout", "");
	check_error("sync", "{\"StopTimeout\":1.5}", "22023", "StopTimeout", "");
	check_error("sync", "{\"StopTimeout\":1e3}", "22023", "StopTimeout", "");
	check_error("sync", "{\"StopTimeout\":86401}", "22023", "StopTimeout", "");
	check_error("sync", "{\"StopTimeout\":\"7\"}", "22023", "\"StopTimeout\" must be a number", "");
	context.app = NULL;
	check("instance", "{}", "StopTimeout", "120");
	check("live_sync", "true", "StopTimeout", "30");
	context = plain;
	check("sync", "{\"Healthcheck\":{\"Interval\":30000000000}}", "Healthcheck/Interval", "30000000000");
	check("sync", "{\"OpenStdin\":true,\"Foo\":[1]}", "OpenStdin", "true");
	check_error("sync", "{\"Healthcheck\":{\"Test\":\"x\"}}", "22023", "\"Test\" must be", "");
	check_error("sync", "{\"Cmd\":{\"geheim\":1}}", "22023", "\"Cmd\" must be a string or an array", "");
	check_error("sync", "{\"Env\":[\"geheim\",1]}", "22023", "\"Env\" must be an array of strings", "");
	check_error("sync", "{\"Env\":{\"A\":\"geheim\"}}", "22023", "\"Env\" must be an array of strings", "");
	check_error("sync", "{\"cmd\":[]}", "22023", "must be written \"Cmd\"", "");
}

/* ---- sizes ---- */

static void
test_sizes(void)
{
	size_t		size = SPEC_MAX_BYTES;
	char	   *text = malloc(size + 100);
	char	   *vars = malloc(size + 100);
	size_t		used;

	memset(text, ' ', size);
	memcpy(text, "{}", 2);
	text[size] = '\0';
	check_count("sync", text, 1);
	text[size] = ' ';
	text[size + 1] = '\0';
	check_error("sync", text, "54000", "longer than", "");
	context.defaults = text;
	check_error("sync", "{}", "54000", "defaults is longer than", "");
	context = plain;

	/* a small spec that would grow to gigabytes */
	memset(vars, 'x', size);
	memcpy(vars, "{\"v\":\"", 6);
	strcpy(vars + 100000, "\"}");
	context.vars = vars;
	check_error("sync", "{\"Cmd\":[\"{{v}}{{v}}{{v}}{{v}}{{v}}{{v}}{{v}}{{v}}{{v}}{{v}}{{v}}\"]}", "54000",
				"placeholders filled in", "");
	check_error("sync", "{\"Cmd\":[\"{{v}}{{v}}{{v}}{{v}}{{v}}{{v}}\",\"{{v}}{{v}}{{v}}{{v}}{{v}}{{v}}\"]}", "54000",
				"placeholders filled in", "");
	context = plain;
	free(vars);

	memset(text, '[', size);
	memcpy(text, "{\"a\":", 5);
	check_error("sync", text, "54000", "longer", "");
	text[size - 1] = '\0';
	check_error("sync", text, "22023", "nested too deeply", "");
	used = (size_t) sprintf(text, "{\"Labels\":{\"0\":\"\"");
	for (int i = 1; i <= 1000; i++)
		used += (size_t) sprintf(text + used, ",\"%d\":\"\"", i);
	strcpy(text + used, "}}");
	check_error("sync", text, "54000", "more than 1000 keys", "");
	sprintf(text, "{\"Image\":\"%0*d \"}", 1000, 7);
	check_error("sync", text, "22023", "0000...\" is not", "");
	sprintf(text, "{\"Image\":\"%0*d\xe2\x82\xac\xe2\x82\xac\"}", 98, 7);
	check_error("sync", text, "22023", "007...\" is not", "");
	free(text);
}

/* ---- defaults and vars ---- */

static void
check_settings(bool good, const char *sqlstate, const char *message, const char *name)
{
	bool		fits = good == (sqlstate == NULL) &&
		(good || (strcmp(error.sqlstate, sqlstate) == 0 && strstr(error.message, message) != NULL &&
				  strstr(error.message, "geheim") == NULL));

	ok(fits, "%s: %s", name, good ? "good" : message);
	if (!fits)
		diag("%s %s", error.sqlstate, error.message);
}

static void
check_defaults(const char *text, const char *sqlstate, const char *message)
{
	check_settings(spec_check_defaults(text, &error), sqlstate, message, text);
}

static void
check_vars(const char *text, const char *sqlstate, const char *message)
{
	check_settings(spec_check_vars(text, &error), sqlstate, message, text);
}

static void
test_settings(void)
{
	check_defaults("{}", NULL, "");
	check_defaults("null", NULL, "");
	check_defaults("{\"Env\":[\"A={{anything}}\"],\"HostConfig\":{\"Memory\":1},\"aliases\":[\"{{app}}\"]}", NULL, "");
	check_defaults("[]", "22023", "defaults must be an object");
	check_defaults("\"geheim\"", "22023", "defaults must be an object");
	check_defaults("{", "22023", "defaults is not valid JSON");
	check_defaults("{\"name\":\"x\"}", "22023", "name");
	check_defaults("{\"Env\":7}", "22023", "defaults: \"Env\"");
	check_defaults("{\"HostConfig\":{\"AutoRemove\":true}}", "22023", "AutoRemove");
	check_defaults("{\"Labels\":{\"io.hafstack.x\":\"y\"}}", "22023", "reserved");
	check_vars("{}", NULL, "");
	check_vars("null", NULL, "");
	check_vars("{\"a\":\"b\",\"c_D-1.2\":7,\"e\":false}", NULL, "");
	check_vars("[]", "22023", "vars must be an object");
	check_vars("{\"a\":null}", "22023", "\"a\" must be a string");
	check_vars("{\"a\":[\"geheim\"]}", "22023", "\"a\" must be a string");
	check_vars("{\"a\":{}}", "22023", "\"a\" must be a string");
	check_vars("{\"\":\"x\"}", "42602", "cannot be the name");
	check_vars("{\"a b\":\"x\"}", "42602", "\"a b\" cannot be the name");
	check_vars("{\"1a\":\"x\"}", "42602", "cannot be the name");
	check_vars("{\"app\":\"x\"}", "22023", "{{app}} is hafstack's own");
	check_vars("{\"a\":\"x\",\"a\":\"y\"}", "22023", "twice");
}

/* ---- what a link of the chain is cloned from ---- */

static void
check_base(const char *base, const char *message)
{
	bool		good;

	context.base = base;
	good = build("index", "{\"Cmd\":[\"x\"]}", 1) == (message == NULL) &&
		(message == NULL || strstr(error.message, message) != NULL);
	ok(good, "cloned from %s: %s", base, message != NULL ? message : "good");
	if (!good)
		diag("%s", error.message);
	spec_free(&container);
}

static void
test_base(void)
{
	context.bundled = true;
	context.haf_image = NULL;
	check_base("{\"Image\":\"i\",\"Labels\":{\"io.hafstack.haf-restart-policy\":\"no\"}}", NULL);
	check_base("{\"Image\":\"i\",\"StopTimeout\":null,\"Healthcheck\":null,\"aliases\":null,\"Env\":null}", NULL);
	check_base("{\"Image\":\"i\",\"StopTimeout\":true}", "\"StopTimeout\" must be a number");
	check_base("{\"Image\":\"i\",\"StopTimeout\":{}}", "\"StopTimeout\" must be a number");
	check_base("{\"Image\":\"i\",\"Healthcheck\":{\"Test\":[true]}}", "\"Test\" must be an array of strings");
	check_base("{\"Image\":\"i\",\"aliases\":[1,null]}", "\"aliases\" must be an array of strings");
	check_base("{\"Image\":\"i\",\"HostConfig\":{\"NetworkMode\":\"n\"},\"NetworkingConfig\":"
			   "{\"EndpointsConfig\":{\"n\":{\"Aliases\":[1]}}}}", "\"Aliases\" must be an array of strings");
	check_base("{\"Image\":\"i\",\"HostConfig\":{\"Binds\":[1]}}", "\"Binds\" must be an array of strings");
	check_base("[]", "must be an object");
	check_base("{", "not valid JSON");
	context.base = "{\"Image\":\"i\",\"StopTimeout\":77}";
	check("index", "{}", "StopTimeout", "77");
	check("index", "{\"StopTimeout\":8}", "StopTimeout", "8");
	context = plain;
}

int
main(void)
{
	context = plain;
	test_forms();
	test_image();
	test_merge();
	test_numbers();
	test_placeholders();
	test_urls();
	test_conventions();
	test_names();
	test_networks();
	test_labels();
	test_lifecycle();
	test_container();
	test_sizes();
	test_settings();
	test_base();
	return tap_end();
}
