/*
 * floor.c
 *		The calls that a bring-up needs, and nothing else: setups one after the
 *		other; then, every app in a thread of its own, sync, detector, API.
 *
 *	 floor SOCKET APPS		prints the seconds it took
 *
 * Each step waits for its process by /wait and is removed before the next, as a
 * careful script does it.  What hafstack does besides (look at what it started,
 * fetch logs, keep everything in tables) is not done here.
 */
#include <pthread.h>

#include "call.h"

#define MAX_APPS 16				/* as many calls at once as hafstack makes */

static const char *socket_path;

static const char job[] = "{\"Image\":\"hafstack-test/busybox\",\"Cmd\":[\"echo\",\"done\"],"
"\"Labels\":{\"bench\":\"\"},\"HostConfig\":{\"NetworkMode\":\"host\"}}";
static const char service[] = "{\"Image\":\"hafstack-test/busybox\",\"Cmd\":[\"sleep\",\"1000\"],"
"\"Labels\":{\"bench\":\"\"},\"HostConfig\":{\"NetworkMode\":\"host\"}}";

static void
run_job(Caller *caller, int app, const char *role)
{
	char		name[64];
	char		id[65];

	snprintf(name, sizeof(name), "floor-%d-%s", app, role);
	create(caller, name, job, id);
	tell(caller, "POST", id, "/start");
	tell(caller, "POST", id, "/wait");
	if (strstr(caller->answer, "\"StatusCode\":0") == NULL)
		exit(1);
	tell(caller, "DELETE", id, "");
}

static void
start_service(Caller *caller, int app, const char *role)
{
	char		name[64];
	char		id[65];

	snprintf(name, sizeof(name), "floor-%d-%s", app, role);
	create(caller, name, service, id);
	tell(caller, "POST", id, "/start");
}

static void *
sync_and_serve(void *argument)
{
	Caller		caller = {0};
	int			app = *(int *) argument;

	caller_open(&caller, socket_path);
	start_service(&caller, app, "sync");
	run_job(&caller, app, "live-sync");
	start_service(&caller, app, "api");
	curl_easy_cleanup(caller.easy);
	return NULL;
}

int
main(int argc, char **argv)
{
	Caller		caller = {0};
	pthread_t	threads[MAX_APPS];
	int			numbers[MAX_APPS];
	int			apps = argc == 3 ? atoi(argv[2]) : 0;
	double		begun;

	if (apps < 1 || apps > MAX_APPS)
		return 2;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	socket_path = argv[1];
	caller_open(&caller, socket_path);
	begun = seconds_now();
	for (int app = 0; app < apps; app++)
		run_job(&caller, app, "setup");
	for (int app = 0; app < apps; app++)
	{
		numbers[app] = app;
		if (pthread_create(&threads[app], NULL, sync_and_serve, &numbers[app]) != 0)
			return 1;
	}
	for (int app = 0; app < apps; app++)
		pthread_join(threads[app], NULL);
	printf("%.3f\n", seconds_now() - begun);
	return 0;
}
