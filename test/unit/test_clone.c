/*
 * test_clone.c
 *		What follows a container over the same data directory: clone.c.
 */
#include "clone.h"
#include "tap.h"

#define ID		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* As Engine 20.10 tells it, what matters of it. */
static const char first[] =
"{\"Id\": \"" ID "\", \"Image\": \"sha256:" ID "\", \"Name\": \"/haf\", \"Args\": [\"--skip-hived\", \"--plugin=x\"],"
" \"Config\": {\"Image\": \"haf:1\", \"Hostname\": \"0123456789ab\", \"Cmd\": [\"--skip-hived\", \"--plugin=x\"],"
"  \"Env\": [\"A=1\"], \"Tty\": true, \"StopSignal\": \"SIGINT\", \"StopTimeout\": 120, \"Volumes\": {\"/data\": {}},"
"  \"Healthcheck\": {\"Test\": [\"CMD\", \"true\"], \"StartPeriod\": 2592000000000000},"
"  \"Labels\": {\"com.docker.compose.project\": \"p\", \"mine\": \"yes\", \"io.hafstack.old\": \"x\"}},"
" \"HostConfig\": {\"NetworkMode\": \"net\", \"Init\": true, \"ShmSize\": 4294967296, \"GroupAdd\": [\"999\"],"
"  \"Ulimits\": [{\"Name\": \"a\", \"Hard\": 9223372036854775807, \"Soft\": 9007199254740993}],"
"  \"Mounts\": [{\"Type\": \"volume\", \"Target\": \"/data\", \"VolumeOptions\": {\"Subpath\": \"part\"}},"
"   {\"Type\": \"bind\", \"Target\": \"/other\", \"BindOptions\": {\"NonRecursive\": true}},"
"   {\"Type\": \"tmpfs\", \"Target\": \"/shm\", \"TmpfsOptions\": {\"SizeBytes\": 4294967297, \"Mode\": 448}}],"
"  \"Binds\": [\"/srv:/data2\"], \"AutoRemove\": false, \"LogConfig\": {\"Type\": \"json-file\"},"
"  \"RestartPolicy\": {\"Name\": \"on-failure\", \"MaximumRetryCount\": 4}},"
" \"Mounts\": [{\"Type\": \"volume\", \"Name\": \"anonymous\", \"Source\": \"/var/lib\", \"Destination\": \"/data\", \"RW\": true},"
"  {\"Type\": \"bind\", \"Source\": \"/srv\", \"Destination\": \"/data2\", \"RW\": false, \"Propagation\": \"rprivate\"},"
"  {\"Type\": \"bind\", \"Source\": \"/run/docker.sock\", \"Destination\": \"/run/docker.sock\", \"RW\": true},"
"  {\"Type\": \"tmpfs\", \"Source\": \"\", \"Destination\": \"/shm\", \"RW\": true}],"
" \"NetworkSettings\": {\"Networks\": {\"net\": {\"Aliases\": [\"haf-instance\", \"0123456789ab\"],"
"  \"IPAMConfig\": {\"IPv4Address\": \"10.1.2.3\"}}}}}";

static void
has(const Clone *clone, const char *text, const char *name)
{
	if (!ok(clone->body != NULL && strstr(clone->body, text) != NULL, "%s", name))
		diag("%s", clone->body != NULL ? clone->body : "none");
}

static void
lacks(const Clone *clone, const char *text, const char *name)
{
	if (!ok(clone->body != NULL && strstr(clone->body, text) == NULL, "%s", name))
		diag("%s", clone->body != NULL ? clone->body : "none");
}

static void
test_self(void)
{
	char		id[65];

	ok(clone_find_self("36 35 0:1 / / rw - overlay overlay rw\n"
					   "50 36 8:1 /var/lib/docker/containers/" ID "/hostname /etc/hostname rw - ext4 /dev/sda rw\n",
					   id, sizeof(id)) && strcmp(id, ID) == 0, "Docker's mounts tell the container");
	ok(clone_find_self("50 36 8:1 /c/overlay-containers/" ID "/userdata/hosts /etc/hosts rw - ext4 /dev/sda rw\n",
					   id, sizeof(id)), "Podman's too");
	ok(!clone_find_self("36 35 0:1 / / rw - ext4 /dev/sda rw\n", id, sizeof(id)), "outside of one there is none");
	ok(!clone_find_self("50 36 8:1 /containers/0123/hostname /etc/hostname rw\n", id, sizeof(id)), "a short id is none");
	ok(!clone_find_self("/containers/" ID "/", id, 64), "nor one without room");
	ok(!clone_runs_hived(first), "--skip-hived: no hived");
	ok(!clone_runs_hived("{\"Args\": [\"--execute-maintenance-script=/x\"]}"), "a script: no hived");
	ok(clone_runs_hived("{\"Args\": [\"--skip-hived-not\", \"--plugin=x\"]}"), "else there is");
}

static void
check_stop_timeout(const char *given, const char *wanted)
{
	char		inspect[200];
	Clone		clone;

	snprintf(inspect, sizeof(inspect), "{\"Config\": {\"name\": [1], \"aliases\": [1, null]%s}, \"HostConfig\": {}}", given);
	ok(clone_make(inspect, CLONE_HAF, NULL, NULL, NULL, &clone), "time to stop in: %s", given);
	has(&clone, wanted, "is named, whatever the container says");
	lacks(&clone, "\"aliases\"", "keys of hafstack's own are not the Engine's to give");
	lacks(&clone, "\"name\"", "neither of them");
	clone_free(&clone);
}

/* Made in one network, connected to the others before it is started. */
static void
test_networks(void)
{
	static const char inspect[] =
	"{\"Id\": \"" ID "\", \"Name\": \"/haf\", \"Config\": {}, \"HostConfig\": {\"NetworkMode\": \"0123456789abcdef\"},"
	" \"NetworkSettings\": {\"Networks\": {\"back\": {\"Aliases\": [\"db\"], \"NetworkID\": \"1\"},"
	"  \"front\": {\"Aliases\": null, \"NetworkID\": \"0123456789abcdef0123\"}, \"bridge\": {\"NetworkID\": \"2\"}}}}";
	char		text[8192];
	char	   *network;
	char	   *endpoint;
	Clone		clone;

	ok(clone_make(inspect, CLONE_INDEX, NULL, NULL, NULL, &clone), "a container in several networks");
	has(&clone, "\"EndpointsConfig\":{\"front\":{\"Aliases\":[\"haf\"]}}", "is cloned into its first");
	has(&clone, "\"NetworkMode\":\"front\"", "by name");
	snprintf(text, sizeof(text), "{\"Config\": %s, \"NetworkSettings\": {\"Networks\": {\"front\": {}}}}", clone.body);
	if (ok(clone_missing_network(text, 0, &network, &endpoint), "the clone tells where it lacks"))
		ok(strcmp(network, "back") == 0 && strcmp(endpoint, "{\"Aliases\":[\"db\",\"haf\"]}") == 0, "and under which names");
	free(network);
	free(endpoint);
	ok(!clone_missing_network(text, 1, &network, &endpoint), "nowhere else");
	snprintf(text, sizeof(text), "{\"Config\": %s, \"NetworkSettings\": {\"Networks\": {\"front\": {}, \"back\": {}}}}", clone.body);
	ok(!clone_missing_network(text, 0, &network, &endpoint), "once it is there it lacks nothing");
	ok(!clone_missing_network("nonsense", 0, &network, &endpoint) &&
	   !clone_missing_network("{\"Config\": {\"Labels\": {\"io.hafstack.networks\": \"[1\"}}}", 0, &network, &endpoint),
	   "nonsense lacks nothing");
	clone_free(&clone);
}

/* A clone of a clone: its labels, whatever its own policy is. */
static void
test_again(const char *body)
{
	char		text[8192];
	Clone		clone;

	snprintf(text, sizeof(text), "{\"Id\": \"" ID "\", \"Config\": %s, \"HostConfig\": {\"RestartPolicy\": {\"Name\": \"always\"}}}", body);
	ok(clone_make(text, CLONE_HAF, NULL, NULL, NULL, &clone) && strcmp(clone.restart_policy, "on-failure") == 0 &&
	   clone.restart_retries == 4, "HAF made from the recovery container is kept up as the first one");
	clone_free(&clone);
}

static void
test_links(void)
{
	Clone		clone;

	ok(clone_make(first, CLONE_INDEX, NULL, NULL, NULL, &clone), "an index builder");
	has(&clone, "\"Cmd\":[\"--execute-maintenance-script=/haf_app_root/scripts/setup_haf_indexes.sh\"]", "its command");
	has(&clone, "\"Image\":\"sha256:" ID "\"", "of the image that runs, wherever its tag points by now");
	has(&clone, "\"Type\":\"volume\",\"Source\":\"anonymous\",\"Target\":\"/data\"", "an anonymous volume is the same one");
	has(&clone, "\"Target\":\"/data\",\"VolumeOptions\":{\"Subpath\":\"part\"}}", "and the same part of it");
	has(&clone, "{\"Type\":\"tmpfs\",\"Target\":\"/shm\",\"TmpfsOptions\":{\"SizeBytes\":4294967297,\"Mode\":448}}",
		"memory is as large as it was");
	lacks(&clone, "NonRecursive", "what is not mounted has no options");
	has(&clone, "\"Target\":\"/data2\",\"ReadOnly\":true", "a read-only mount stays so");
	lacks(&clone, "\"Binds\"", "each mount is there once");
	lacks(&clone, "\"Volumes\"", "and no volume is asked for anew");
	has(&clone, "\"Aliases\":[\"haf-instance\",\"haf\"]", "it answers under all its names");
	has(&clone, "10.1.2.3", "and at its address");
	lacks(&clone, "\"Hostname\"", "but has a host name of its own");
	lacks(&clone, "compose", "Compose does not know it");
	lacks(&clone, "io.hafstack.old", "nor do we, yet");
	has(&clone, "\"io.hafstack.haf-restart-policy\":\"on-failure\",\"io.hafstack.haf-restart-retries\":\"4\"",
		"it remembers how HAF is to be kept up");
	has(&clone, "\"mine\":\"yes\"", "other labels stay");
	has(&clone, "2592000000000000", "large numbers stay whole");
	has(&clone, "\"Hard\":9223372036854775807,\"Soft\":9007199254740993", "to the last digit");
	has(&clone, "\"ShmSize\":4294967296", "shared memory");
	ok(strcmp(clone.restart_policy, "no") == 0, "it is not brought back");
	clone_free(&clone);

	ok(clone_make(first, CLONE_HAF, NULL, NULL, NULL, &clone), "HAF");
	has(&clone, "\"Cmd\":[\"--plugin=x\"]", "runs hived");
	ok(strcmp(clone.restart_policy, "on-failure") == 0 && clone.restart_retries == 4, "and is brought back as it was");
	clone_free(&clone);

	ok(clone_make(first, CLONE_RECOVERY, NULL, NULL, NULL, &clone), "recovery");
	has(&clone, "\"Cmd\":[\"--skip-hived\",\"--plugin=x\"]", "runs the server alone");
	test_again(clone.body);
	ok(strcmp(clone.restart_policy, "always") == 0, "and is brought back");
	clone_free(&clone);
}

static void
test_handoff(void)
{
	static const char *const command[] = {"/bin/handoff", "--name=x", NULL};
	Clone		clone;

	ok(clone_make(first, CLONE_HANDOFF, command, "unix:///var/run/docker.sock", "", &clone), "the hand-off program");
	has(&clone, "\"Image\":\"sha256:" ID "\"", "of the same image");
	has(&clone, "\"Entrypoint\":[\"/bin/handoff\"],\"Cmd\":[\"--name=x\"]", "its command");
	has(&clone, "\"Target\":\"/run/docker.sock\"", "it has the socket");
	lacks(&clone, "/data", "and no data");
	has(&clone, "\"NetworkMode\":\"none\"", "nor a network");
	clone_free(&clone);
	ok(clone_make(first, CLONE_HANDOFF, command, "tcp://docker:2376", "/data2/certs", &clone), "over TCP");
	has(&clone, "\"Target\":\"/data2\"", "it has the certificates");
	has(&clone, "\"Aliases\":[]", "and a network, but no name in it");
	clone_free(&clone);
}

int
main(void)
{
	Clone		clone;

	test_self();
	check_stop_timeout("", "\"StopTimeout\":120");
	check_stop_timeout(", \"StopTimeout\": 7", "\"StopTimeout\":7");
	check_stop_timeout(", \"StopTimeout\": null", "\"StopTimeout\":120");
	check_stop_timeout(", \"StopTimeout\": -1", "\"StopTimeout\":120");
	test_links();
	test_networks();
	test_handoff();
	ok(!clone_make("{\"Config\": 1}", CLONE_HAF, NULL, NULL, NULL, &clone), "what is no container is not cloned");
	ok(!clone_make("nonsense", CLONE_HAF, NULL, NULL, NULL, &clone), "nor what is no JSON");
	clone_free(&clone);
	return tap_end();
}
