/*
 * clone.c
 *		The containers that follow the one the server runs in.
 *
 * Room: see clone.h.  The Engine's account of a container holds the very objects
 * that its create call takes (Config, HostConfig), so a clone takes them whole
 * and changes what has to differ: mounts come from .Mounts, so that an anonymous
 * volume is the same and never a new one; the image goes by its id; restarting is
 * ours; what Compose or an earlier clone wrote on it stays behind.
 *
 * API source: Docker Engine API reference v1.41, ContainerInspect and
 * ContainerCreate.
 */
#include "clone.h"

#include "doc.h"
#include "spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_LENGTH			64
#define SHORT_ID			12
#define SKIP_HIVED_OPTION	"--skip-hived"
#define POLICY_LABEL		"io.hafstack.haf-restart-policy"
#define RETRIES_LABEL		"io.hafstack.haf-restart-retries"
#define NETWORKS_LABEL		"io.hafstack.networks"

/* ---- JSON ---- */

static const char *
get_text(const cJSON *object, const char *key)
{
	const char *text = doc_text(object, key);

	return text != NULL ? text : "";
}

static void
drop(cJSON *object, const char *const *keys)
{
	for (; *keys != NULL; keys++)
		cJSON_DeleteItemFromObjectCaseSensitive(object, *keys);
}

/* ---- who am I ---- */

/*
 * The Engine binds a container's hosts, hostname and resolv.conf from
 * <data-root>/containers/<id>/ of its own; Podman from
 * .../overlay-containers/<id>/userdata/.
 */
bool
clone_find_self(const char *mountinfo, char *id, size_t size)
{
	static const char mark[] = "containers/";
	const char *at = mountinfo;

	while ((at = strstr(at, mark)) != NULL)
	{
		size_t		length;

		at += strlen(mark);
		length = strspn(at, "0123456789abcdef");
		if (length == ID_LENGTH && at[length] == '/' && size > length)
		{
			memcpy(id, at, length);
			id[length] = '\0';
			return true;
		}
	}
	return false;
}

/* An option by itself or with its value. */
static bool
is_option(const char *argument, const char *option)
{
	size_t		length = strlen(option);

	return strncmp(argument, option, length) == 0 &&
		(argument[length] == '\0' || argument[length] == '=');
}

bool
clone_runs_hived(const char *inspect)
{
	cJSON	   *json = doc_parse(inspect, strlen(inspect));
	const cJSON *argument;
	bool		hived = json != NULL;

	cJSON_ArrayForEach(argument, doc_get(json, "Args"))
	{
		const char *text = cJSON_GetStringValue(argument);

		if (text != NULL && (is_option(text, SKIP_HIVED_OPTION) || is_option(text, SPEC_MAINTENANCE_OPTION)))
			hived = false;
	}
	cJSON_Delete(json);
	return hived;
}

/* ---- mounts ---- */

static bool
covers(const char *mount, const char *path)
{
	size_t		length = strlen(mount);

	return length > 0 && strncmp(path, mount, length) == 0 &&
		(path[length] == '\0' || path[length] == '/' || mount[length - 1] == '/');
}

/* /var/run is a link in most images, and the mount may be named either way. */
static bool
is_needed(const char *mount, const char *docker_host, const char *cert_path)
{
	const char *socket = strncmp(docker_host, "unix://", 7) == 0 ? docker_host + 7 : "";

	if (cert_path[0] != '\0' && covers(mount, cert_path))
		return true;
	if (strncmp(socket, "/var/run/", 9) == 0 && covers(mount, socket + 4))
		return true;
	return covers(mount, socket) || (strncmp(mount, "/var/run/", 9) == 0 && covers(mount + 4, socket));
}

/* What .Mounts does not tell: the part of a volume, the size of a tmpfs ... */
static void
add_options(cJSON *to, const cJSON *inspect)
{
	static const char *const options[] = {"BindOptions", "VolumeOptions", "TmpfsOptions", NULL};
	const cJSON *asked;

	cJSON_ArrayForEach(asked, doc_get(doc_get(inspect, "HostConfig"), "Mounts"))
	{
		if (strcmp(get_text(asked, "Target"), get_text(to, "Target")) != 0)
			continue;
		for (const char *const *key = options; *key != NULL; key++)
			if (cJSON_IsObject(doc_get(asked, *key)))
				doc_put(to, *key, cJSON_Duplicate(doc_get(asked, *key), true));
	}
}

/* One of .Mounts as HostConfig.Mounts wants it; NULL where there is no such thing. */
static cJSON *
mount_of(const cJSON *inspect, const cJSON *from)
{
	const char *type = get_text(from, "Type");
	const char *source = get_text(from, strcmp(type, "volume") == 0 ? "Name" : "Source");
	const char *propagation = get_text(from, "Propagation");
	bool		bind = strcmp(type, "bind") == 0;
	cJSON	   *to;

	if (!bind && strcmp(type, "volume") != 0 && strcmp(type, "tmpfs") != 0)
		return NULL;
	to = cJSON_CreateObject();
	cJSON_AddStringToObject(to, "Type", type);
	if (source[0] != '\0' && strcmp(type, "tmpfs") != 0)
		cJSON_AddStringToObject(to, "Source", source);
	cJSON_AddStringToObject(to, "Target", get_text(from, "Destination"));
	if (cJSON_IsFalse(doc_get(from, "RW")))
		cJSON_AddTrueToObject(to, "ReadOnly");
	if (bind && propagation[0] != '\0')
		cJSON_AddStringToObject(cJSON_AddObjectToObject(to, "BindOptions"), "Propagation", propagation);
	add_options(to, inspect);
	return to;
}

static cJSON *
mounts_of(const cJSON *inspect, const char *docker_host, const char *cert_path)
{
	cJSON	   *mounts = cJSON_CreateArray();
	const cJSON *from;

	cJSON_ArrayForEach(from, doc_get(inspect, "Mounts"))
	{
		cJSON	   *mount;

		if (docker_host != NULL && !is_needed(get_text(from, "Destination"), docker_host, cert_path))
			continue;
		if ((mount = mount_of(inspect, from)) != NULL)
			cJSON_AddItemToArray(mounts, mount);
	}
	return mounts;
}

/* ---- network ---- */

/* Every name under which the container was found, its own among them. */
static cJSON *
aliases_of(const cJSON *inspect, const cJSON *endpoint)
{
	const char *id = get_text(inspect, "Id");
	const char *name = get_text(inspect, "Name");
	cJSON	   *aliases = cJSON_CreateArray();
	const cJSON *alias;

	cJSON_ArrayForEach(alias, doc_get(endpoint, "Aliases"))
	{
		const char *text = cJSON_GetStringValue(alias);

		if (text != NULL && strncmp(text, id, SHORT_ID) != 0)
			doc_add_text(aliases, text);
	}
	if (doc_get(doc_get(doc_get(inspect, "Config"), "Labels"), "io.hafstack.id") == NULL && name[0] == '/')
		doc_add_text(aliases, name + 1);
	return aliases;
}

/* The network that it was made in, by name or id; NULL where it has left that. */
static const cJSON *
main_network(const cJSON *inspect)
{
	const char *mode = get_text(doc_get(inspect, "HostConfig"), "NetworkMode");
	const cJSON *networks = doc_get(doc_get(inspect, "NetworkSettings"), "Networks");
	const cJSON *network = doc_get(networks, mode);

	if (network != NULL || strlen(mode) < SHORT_ID)
		return network;
	cJSON_ArrayForEach(network, networks)
	{
		if (strncmp(get_text(network, "NetworkID"), mode, strlen(mode)) == 0)
			return network;
	}
	return NULL;
}

static cJSON *
endpoint_of(const cJSON *inspect, const cJSON *from, bool named)
{
	static const char *const kept[] = {"IPAMConfig", "Links", "DriverOpts", NULL};
	cJSON	   *endpoint = cJSON_CreateObject();

	cJSON_AddItemToObject(endpoint, "Aliases", named ? aliases_of(inspect, from) : cJSON_CreateArray());
	for (const char *const *key = kept; named && *key != NULL; key++)
		if (doc_get(from, *key) != NULL && !cJSON_IsNull(doc_get(from, *key)))
			cJSON_AddItemToObject(endpoint, *key, cJSON_Duplicate(doc_get(from, *key), true));
	return endpoint;
}

/* Before API 1.44 a create call takes one network, no more; for the hand-off
 * program without the names. */
static cJSON *
networking_of(const cJSON *inspect, bool named)
{
	cJSON	   *networking = cJSON_CreateObject();
	cJSON	   *endpoints = cJSON_AddObjectToObject(networking, "EndpointsConfig");
	const cJSON *network = main_network(inspect);

	if (network != NULL)
		cJSON_AddItemToObject(endpoints, network->string, endpoint_of(inspect, network, named));
	return networking;
}

/* The others go into a label, for whoever starts the clone; NULL: there are none. */
static char *
further_networks(const cJSON *inspect)
{
	const cJSON *first = main_network(inspect);
	cJSON	   *further = cJSON_CreateObject();
	const cJSON *network;
	char	   *text = NULL;

	cJSON_ArrayForEach(network, doc_get(doc_get(inspect, "NetworkSettings"), "Networks"))
	{
		if (network != first && spec_is_user_network(network->string))
			cJSON_AddItemToObject(further, network->string, endpoint_of(inspect, network, true));
	}
	if (further != NULL && further->child != NULL)
		text = cJSON_PrintUnformatted(further);
	cJSON_Delete(further);
	return text;
}

bool
clone_missing_network(const char *inspect, int at, char **network, char **endpoint)
{
	cJSON	   *json = cJSON_Parse(inspect);
	const cJSON *there = doc_get(doc_get(json, "NetworkSettings"), "Networks");
	cJSON	   *wanted = cJSON_Parse(get_text(doc_get(doc_get(json, "Config"), "Labels"), NETWORKS_LABEL));
	const cJSON *item;

	*network = *endpoint = NULL;
	cJSON_ArrayForEach(item, wanted)
	{
		if (doc_get(there, item->string) != NULL || at-- > 0)
			continue;
		*network = strdup(item->string);
		*endpoint = cJSON_PrintUnformatted(item);
		break;
	}
	cJSON_Delete(wanted);
	cJSON_Delete(json);
	return *network != NULL && *endpoint != NULL;
}

/* ---- bodies ---- */

static cJSON *
command_of(const cJSON *config, CloneKind kind)
{
	cJSON	   *command = cJSON_CreateArray();
	const cJSON *argument;

	if (kind == CLONE_INDEX)
	{
		cJSON_AddItemToArray(command, cJSON_CreateString(SPEC_MAINTENANCE_OPTION "=" SPEC_INDEX_SCRIPT));
		return command;
	}
	if (kind == CLONE_RECOVERY)
		cJSON_AddItemToArray(command, cJSON_CreateString(SKIP_HIVED_OPTION));
	cJSON_ArrayForEach(argument, doc_get(config, "Cmd"))
	{
		const char *text = cJSON_GetStringValue(argument);

		if (text != NULL && !is_option(text, SKIP_HIVED_OPTION) && !is_option(text, SPEC_MAINTENANCE_OPTION))
			cJSON_AddItemToArray(command, cJSON_CreateString(text));
	}
	return command;
}

/* The id of what runs, for its tag may be another image's by now. */
static const char *
image_of(const cJSON *inspect)
{
	const char *id = get_text(inspect, "Image");

	return id[0] != '\0' ? id : get_text(doc_get(inspect, "Config"), "Image");
}

/* Seconds to stop in; for a server never the ten that Docker gives one that names none. */
static int
stop_timeout_of(const cJSON *config)
{
	const cJSON *timeout = doc_get(config, "StopTimeout");

	if (cJSON_IsRaw(timeout) && timeout->valuedouble >= 0 && timeout->valuedouble <= SPEC_STOP_TIMEOUT_MAX_S)
		return timeout->valueint;
	return SPEC_HAF_STOP_TIMEOUT_S;
}

static void
clean_labels(cJSON *labels)
{
	cJSON	   *label = labels != NULL ? labels->child : NULL;

	while (label != NULL)
	{
		cJSON	   *next = label->next;

		if (strncmp(label->string, "com.docker.compose.", 19) == 0 ||
			strncmp(label->string, "io.hafstack.", 12) == 0)
			cJSON_Delete(cJSON_DetachItemViaPointer(labels, label));
		label = next;
	}
}

/*
 * The restart policy that HAF is to have.  Each clone carries it in a label, for
 * its own is another, and the first container's may be taken away by then.
 */
static void
haf_policy(const cJSON *inspect, Clone *out)
{
	const cJSON *labels = doc_get(doc_get(inspect, "Config"), "Labels");
	const cJSON *policy = doc_get(doc_get(inspect, "HostConfig"), "RestartPolicy");
	const cJSON *retries = doc_get(policy, "MaximumRetryCount");
	const char *name = get_text(policy, "Name");

	if (get_text(labels, POLICY_LABEL)[0] != '\0')
	{
		name = get_text(labels, POLICY_LABEL);
		out->restart_retries = atoi(get_text(labels, RETRIES_LABEL));
	}
	else if (cJSON_IsRaw(retries))
		out->restart_retries = retries->valueint;
	if (name[0] == '\0' || strcmp(name, "no") == 0 || strlen(name) >= sizeof(out->restart_policy))
		name = "unless-stopped";
	strcpy(out->restart_policy, name);
}

/* Neither Compose nor hafstack may take it for the one it was made from. */
static void
set_labels(const cJSON *inspect, cJSON *body)
{
	Clone		haf = {0};
	char		retries[16];
	char	   *further = further_networks(inspect);

	clean_labels(doc_get(body, "Labels"));
	if (!cJSON_IsObject(doc_get(body, "Labels")))
		doc_put(body, "Labels", cJSON_CreateObject());
	haf_policy(inspect, &haf);
	snprintf(retries, sizeof(retries), "%d", haf.restart_retries);
	cJSON_AddStringToObject(doc_get(body, "Labels"), POLICY_LABEL, haf.restart_policy);
	cJSON_AddStringToObject(doc_get(body, "Labels"), RETRIES_LABEL, retries);
	if (further != NULL)
		cJSON_AddStringToObject(doc_get(body, "Labels"), NETWORKS_LABEL, further);
	cJSON_free(further);
}

/* A copy of the container, over the same data. */
static cJSON *
body_of(const cJSON *inspect, CloneKind kind)
{
	static const char *const of_config[] = {"Volumes", "MacAddress", "name", "aliases", NULL};
	static const char *const of_host[] =
	{"Binds", "VolumesFrom", "Links", "RestartPolicy", "AutoRemove", "ContainerIDFile", "VolumeDriver", NULL};
	cJSON	   *body = cJSON_Duplicate(doc_get(inspect, "Config"), true);
	cJSON	   *host = cJSON_Duplicate(doc_get(inspect, "HostConfig"), true);

	drop(body, of_config);
	drop(host, of_host);
	if (strncmp(get_text(body, "Hostname"), get_text(inspect, "Id"), SHORT_ID) == 0)
		cJSON_DeleteItemFromObjectCaseSensitive(body, "Hostname");
	doc_put(body, "Image", cJSON_CreateString(image_of(inspect)));
	set_labels(inspect, body);
	doc_put(body, "Cmd", command_of(doc_get(inspect, "Config"), kind));
	doc_put(body, "StopTimeout", cJSON_CreateNumber(stop_timeout_of(doc_get(inspect, "Config"))));
	doc_put(host, "Mounts", mounts_of(inspect, NULL, NULL));
	doc_put(body, "HostConfig", host);
	if (spec_is_user_network(get_text(host, "NetworkMode")))
	{
		doc_put(body, "NetworkingConfig", networking_of(inspect, true));
		if (main_network(inspect) != NULL)
			doc_put(host, "NetworkMode", cJSON_CreateString(main_network(inspect)->string));
	}
	return body;
}

/* The program beside the chain: as root, so that it may use socket and record. */
static cJSON *
handoff_body(const cJSON *inspect, const char *const *command, const char *docker_host,
			 const char *cert_path)
{
	static const char *const no_check[] = {"NONE"};
	const cJSON *from = doc_get(inspect, "HostConfig");
	cJSON	   *body = cJSON_CreateObject();
	cJSON	   *host = cJSON_CreateObject();
	cJSON	   *arguments = cJSON_CreateArray();
	bool		local = strncmp(docker_host, "unix://", 7) == 0;
	const char *mode = local ? "none" : get_text(from, "NetworkMode");

	cJSON_AddStringToObject(body, "Image", image_of(inspect));
	cJSON_AddStringToObject(body, "User", "0:0");
	cJSON_AddStringToObject(body, "StopSignal", "SIGTERM");
	cJSON_AddItemToObject(body, "Entrypoint", cJSON_CreateStringArray(command, 1));
	for (int i = 1; command[i] != NULL; i++)
		cJSON_AddItemToArray(arguments, cJSON_CreateString(command[i]));
	cJSON_AddItemToObject(body, "Cmd", arguments);
	cJSON_AddItemToObject(cJSON_AddObjectToObject(body, "Healthcheck"), "Test",
						  cJSON_CreateStringArray(no_check, 1));
	cJSON_AddStringToObject(host, "NetworkMode", mode);
	cJSON_AddTrueToObject(host, "Init");
	if (cJSON_IsObject(doc_get(from, "LogConfig")))
		cJSON_AddItemToObject(host, "LogConfig", cJSON_Duplicate(doc_get(from, "LogConfig"), true));
	cJSON_AddItemToObject(host, "Mounts", mounts_of(inspect, docker_host, cert_path));
	cJSON_AddItemToObject(body, "HostConfig", host);
	if (spec_is_user_network(mode))
		cJSON_AddItemToObject(body, "NetworkingConfig", networking_of(inspect, false));
	return body;
}

/* Builders end and stay so; HAF is kept up as the first container was, the
 * others until the chain, or the program, is over. */
static void
set_restart_policy(const cJSON *inspect, CloneKind kind, Clone *out)
{
	if (kind == CLONE_HAF)
		haf_policy(inspect, out);
	else
		strcpy(out->restart_policy, kind == CLONE_INDEX ? "no" : "always");
}

bool
clone_make(const char *inspect, CloneKind kind, const char *const *command,
		   const char *docker_host, const char *cert_path, Clone *out)
{
	cJSON	   *json = doc_parse(inspect, strlen(inspect));
	cJSON	   *body = NULL;

	memset(out, 0, sizeof(*out));
	if (cJSON_IsObject(doc_get(json, "Config")) && cJSON_IsObject(doc_get(json, "HostConfig")))
	{
		body = kind == CLONE_HANDOFF ? handoff_body(json, command, docker_host, cert_path) :
			body_of(json, kind);
		set_restart_policy(json, kind, out);
		out->body = cJSON_PrintUnformatted(body);
	}
	cJSON_Delete(body);
	cJSON_Delete(json);
	return out->body != NULL;
}

void
clone_free(Clone *clone)
{
	cJSON_free(clone->body);
	clone->body = NULL;
}
