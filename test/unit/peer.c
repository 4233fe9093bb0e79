/*
 * peer.c
 *		See peer.h.  One process accepts, one more serves each connection.
 */
#define _GNU_SOURCE
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int
listen_unix(Peer *peer)
{
	static int	number;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int			fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/hafstack-peer.%d.%d",
			 (int) getpid(), ++number);
	unlink(address.sun_path);
	snprintf(peer->host, sizeof(peer->host), "unix://%s", address.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) != 0)
		abort();
	return fd;
}

static int
listen_tcp(Peer *peer)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t	size = sizeof(address);
	int			fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		getsockname(fd, (struct sockaddr *) &address, &size) != 0)
		abort();
	peer->port = ntohs(address.sin_port);
	snprintf(peer->host, sizeof(peer->host), "tcp://127.0.0.1:%d", peer->port);
	return fd;
}

static void
accept_for_ever(int listener, PeerServe serve, PeerLog *log, const void *argument)
{
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
	{
		int			fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		atomic_fetch_add(&log->connections, 1);
		if (fork() == 0)
		{
			close(listener);
			serve(fd, log, argument);
			_exit(0);
		}
		close(fd);
	}
}

Peer
peer_start(PeerServe serve, const void *argument, bool tcp)
{
	Peer		peer = {0};
	int			listener = tcp ? listen_tcp(&peer) : listen_unix(&peer);

	peer.log = mmap(NULL, sizeof(PeerLog), PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (peer.log == MAP_FAILED || listen(listener, 128) != 0)
		abort();
	fflush(stdout);
	peer.pid = fork();
	if (peer.pid == 0)
	{
		setpgid(0, 0);
		accept_for_ever(listener, serve, peer.log, argument);
	}
	setpgid(peer.pid, peer.pid);
	close(listener);
	return peer;
}

void
peer_stop(Peer *peer)
{
	kill(-peer->pid, SIGKILL);
	waitpid(peer->pid, NULL, 0);
	munmap(peer->log, sizeof(PeerLog));
	if (peer->port == 0)
		unlink(peer->host + strlen("unix://"));
}

bool
peer_read(int fd, PeerLog *log)
{
	static char head[65536];
	size_t		used = 0;
	char	   *end = NULL;
	char	   *length;
	size_t		body = 0;
	ssize_t		got;

	while (end == NULL)
	{
		got = read(fd, head + used, sizeof(head) - 1 - used);
		if (got <= 0)
			return false;
		used += (size_t) got;
		head[used] = '\0';
		end = strstr(head, "\r\n\r\n");
	}
	length = strcasestr(head, "\r\ncontent-length:");
	if (length != NULL && length < end)
		body = strtoul(length + 17, NULL, 10);
	for (size_t have = used - (size_t) (end + 4 - head); have < body; have += (size_t) got)
	{
		char		sink[65536];

		got = read(fd, sink, sizeof(sink));
		if (got <= 0)
			return false;
	}
	end[2] = '\0';
	snprintf(log->last, sizeof(log->last), "%.4000s", head);
	atomic_fetch_add(&log->requests, 1);
	return true;
}

bool
peer_write(int fd, const void *bytes, size_t length)
{
	const char *from = bytes;

	while (length > 0)
	{
		ssize_t		done = write(fd, from, length);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		from += done;
		length -= (size_t) done;
	}
	return true;
}

bool
peer_say(int fd, const char *text)
{
	return peer_write(fd, text, strlen(text));
}

bool
peer_answer(int fd, int status, const char *body)
{
	char		head[128];

	snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n",
			 status, strlen(body));
	return peer_say(fd, head) && peer_say(fd, body);
}
