/*
 * listener.c
 *		From the commit of HAF's going live to the NOTIFY of it.
 *
 *	 listener CONNINFO COUNT MAX_PAUSE_MS	prints milliseconds, one a line
 *
 * The clock starts just before COMMIT is sent, so the commit itself is in it.
 * Between two goings-live HAF goes back, that is waited for too, and a random
 * pause keeps us from walking in step with the worker's looks.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double
milliseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static PGconn *
connect_to(const char *conninfo)
{
	PGconn	   *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) != CONNECTION_OK)
	{
		fprintf(stderr, "%s", PQerrorMessage(conn));
		exit(1);
	}
	return conn;
}

static void
run(PGconn *conn, const char *sql)
{
	PGresult   *result = PQexec(conn, sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
	{
		fprintf(stderr, "%s: %s", sql, PQerrorMessage(conn));
		exit(1);
	}
	PQclear(result);
}

/* Until an event of kind haf says that HAF is in this state. */
static void
wait_for_state(PGconn *conn, const char *state)
{
	struct pollfd socket = {PQsocket(conn), POLLIN, 0};
	char		wanted[64];
	PGnotify   *notify;

	snprintf(wanted, sizeof(wanted), "\"%s\"", state);
	for (;;)
	{
		while ((notify = PQnotifies(conn)) != NULL)
		{
			const char *to = strstr(notify->extra, "\"to\"");
			int			found = strstr(notify->extra, "\"haf\"") != NULL && to != NULL &&
				strstr(to, wanted) != NULL;

			PQfreemem(notify);
			if (found)
				return;
		}
		if (poll(&socket, 1, 10000) <= 0 || !PQconsumeInput(conn))
		{
			fprintf(stderr, "no NOTIFY of %s\n", state);
			exit(1);
		}
	}
}

int
main(int argc, char **argv)
{
	PGconn	   *hived,
			   *listener;
	int			count = argc == 4 ? atoi(argv[2]) : 0;
	double		pause = argc == 4 ? atof(argv[3]) : 0;

	if (count < 1)
		return 2;
	hived = connect_to(argv[1]);
	listener = connect_to(argv[1]);
	run(listener, "LISTEN hafstack");
	run(hived, "SET synchronous_commit = off");
	for (int i = 0; i < count; i++)
	{
		double		begun;
		struct timespec nap = {0, (long) (drand48() * pause * 1e6)};

		run(hived, "UPDATE hafd.hive_state SET state = 'P2P'");
		wait_for_state(listener, "P2P");
		nanosleep(&nap, NULL);
		run(hived, "BEGIN");
		run(hived, "UPDATE hafd.hive_state SET state = 'LIVE'");
		begun = milliseconds_now();
		run(hived, "COMMIT");
		wait_for_state(listener, "LIVE");
		printf("%.3f\n", milliseconds_now() - begun);
	}
	return 0;
}
