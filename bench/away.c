/*
 * away.c
 *		How long a database is away, as one sees it who connects again and again.
 *
 *	 away CONNINFO JOIN_MS	prints the milliseconds of each outage, one a line, when it is over
 *
 * Every 20 ms a connection and a query.  An outage lasts from the end of the
 * last that went well to the end of the next that did.  Two with less than JOIN_MS
 * between them are one: a server that is restarted at once.
 */
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_US	20000

static double
milliseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static bool
answers(const char *conninfo)
{
	PGconn	   *conn = PQconnectdb(conninfo);
	bool		ok = PQstatus(conn) == CONNECTION_OK;

	if (ok)
	{
		PGresult   *result = PQexec(conn, "SELECT 1");

		ok = PQresultStatus(result) == PGRES_TUPLES_OK;
		PQclear(result);
	}
	PQfinish(conn);
	return ok;
}

int
main(int argc, char **argv)
{
	double		join = argc == 3 ? atof(argv[2]) : 0;
	double		good = 0,		/* the last answer */
				left = 0,		/* the last before the outage at hand, 0: there is none */
				back = 0;		/* and the first after it */
	bool		away = false;

	if (argc != 3)
	{
		fprintf(stderr, "usage: away CONNINFO JOIN_MS\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (;; usleep(PAUSE_US))
	{
		if (answers(argv[1]))
		{
			if (away)
				back = milliseconds_now();
			away = false;
			good = milliseconds_now();
			if (left > 0 && good - back > join)
			{
				printf("%.0f\n", back - left);
				left = 0;
			}
		}
		else if (good > 0)
		{
			if (!away && left == 0)
				left = good;
			away = true;
		}
	}
}
