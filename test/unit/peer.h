/*
 * peer.h
 *		A peer that speaks bytes, as badly as a test wants it to: for what a real
 *		Engine will not do on request.  It is no Engine and knows no state.
 */
#ifndef HAFSTACK_PEER_H
#define HAFSTACK_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Shared between the test and the peer's processes. */
typedef struct PeerLog
{
	atomic_int	connections;
	atomic_int	requests;
	atomic_int	active;			/* requests being answered now */
	atomic_int	most_active;
	char		last[4096];		/* head of the last request */
} PeerLog;

/* Serves one connection, in a process of its own. */
typedef void (*PeerServe) (int fd, PeerLog *log, const void *argument);

typedef struct Peer
{
	pid_t		pid;
	char		host[128];		/* as DOCKER_HOST */
	int			port;			/* TCP only */
	PeerLog    *log;
} Peer;

extern Peer peer_start(PeerServe serve, const void *argument, bool tcp);
extern void peer_stop(Peer *peer);

/* Read one request, body and all.  False at the end of the connection. */
extern bool peer_read(int fd, PeerLog *log);
extern bool peer_write(int fd, const void *bytes, size_t length);
extern bool peer_say(int fd, const char *text);
/* A whole answer with Content-Length. */
extern bool peer_answer(int fd, int status, const char *body);

#endif							/* HAFSTACK_PEER_H */
