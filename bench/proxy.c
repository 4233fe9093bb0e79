/*
 * proxy.c
 *		Stands between a client and the Engine's socket, passes everything on,
 *		and notes when each start call arrives.
 *
 *	 proxy SOCKET ENGINE_SOCKET FILE	a line of nanoseconds for each start call
 *
 * Both ways of a connection have a thread of their own.  A request is looked
 * for at the beginning of what is read: clients here send none before the
 * answer to the one before.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

typedef struct Way
{
	int			from;
	int			to;
	int			requests;		/* this way they come */
} Way;

static int	notes;
static struct sockaddr_un engine = {.sun_family = AF_UNIX};

static void
note_start(const char *data)
{
	char		line[32];
	const char *end = strstr(data, "\r\n");
	const char *found = strstr(data, "/start");
	struct timespec now;

	if (strncmp(data, "POST ", 5) != 0 || found == NULL || end == NULL || found > end)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(line, sizeof(line), "%lld%09ld\n", (long long) now.tv_sec, now.tv_nsec);
	if (write(notes, line, strlen(line)) < 0)
		exit(1);
}

static void *
pass_on(void *argument)
{
	Way			way = *(Way *) argument;
	char		data[65536];
	ssize_t		length;

	free(argument);
	while ((length = read(way.from, data, sizeof(data) - 1)) > 0)
	{
		data[length] = '\0';
		if (way.requests)
			note_start(data);
		for (ssize_t done = 0, n; done < length; done += n)
			if ((n = write(way.to, data + done, length - done)) <= 0)
				return NULL;
	}
	shutdown(way.to, SHUT_WR);
	return NULL;
}

static pthread_t
begin_way(int from, int to, int requests)
{
	Way		   *way = malloc(sizeof(Way));
	pthread_t	thread;

	*way = (Way) {from, to, requests};
	if (pthread_create(&thread, NULL, pass_on, way) != 0)
		exit(1);
	return thread;
}

static void *
serve(void *argument)
{
	int			client = *(int *) argument;
	int			server = socket(AF_UNIX, SOCK_STREAM, 0);

	free(argument);
	if (server >= 0 && connect(server, (struct sockaddr *) &engine, sizeof(engine)) == 0)
	{
		pthread_t	there = begin_way(client, server, 1);
		pthread_t	back = begin_way(server, client, 0);

		pthread_join(back, NULL);
		shutdown(client, SHUT_RDWR);
		pthread_join(there, NULL);
	}
	close(client);
	close(server);
	return NULL;
}

int
main(int argc, char **argv)
{
	struct sockaddr_un here = {.sun_family = AF_UNIX};
	int			listener = socket(AF_UNIX, SOCK_STREAM, 0);

	if (argc != 4 || listener < 0)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	snprintf(here.sun_path, sizeof(here.sun_path), "%s", argv[1]);
	snprintf(engine.sun_path, sizeof(engine.sun_path), "%s", argv[2]);
	notes = open(argv[3], O_WRONLY | O_CREAT | O_APPEND, 0666);
	unlink(argv[1]);
	if (notes < 0 || bind(listener, (struct sockaddr *) &here, sizeof(here)) != 0 ||
		chmod(argv[1], 0666) != 0 || listen(listener, 64) != 0)
		return 1;
	for (;;)
	{
		int		   *client = malloc(sizeof(int));
		pthread_t	thread;

		*client = accept(listener, NULL, NULL);
		if (*client < 0 || pthread_create(&thread, NULL, serve, client) != 0)
			return 1;
		pthread_detach(thread);
	}
}
