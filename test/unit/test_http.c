/*
 * test_http.c
 *		http.c against peers that misbehave.
 */
#define _GNU_SOURCE
#include "http.h"
#include "peer.h"
#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static Http *http;
static char error[256];

static long
clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Wait exactly as long as http_wait_ms() says. */
static HttpAnswer *
wait_answer(long limit_ms)
{
	long		end = clock_ms() + limit_ms;

	for (;;)
	{
		HttpAnswer *answer = http_next(http);
		struct pollfd descriptor = {.fd = http_descriptor(http), .events = POLLIN};
		long		wait = http_wait_ms(http);
		long		left = end - clock_ms();

		if (answer != NULL)
			return answer;
		if (left <= 0)
			return NULL;
		poll(&descriptor, 1, (int) (wait < 0 || wait > left ? left : wait));
		http_run(http);
	}
}

static void
begin(const char *host, int max_requests)
{
	http = http_open(host, "", max_requests, error, sizeof(error));
	if (http == NULL)
	{
		diag("%s", error);
		abort();
	}
}

static void
begin_peer(Peer *peer, PeerServe serve, const void *argument, bool tcp)
{
	*peer = peer_start(serve, argument, tcp);
	begin(peer->host, 4);
}

static void
end_peer(Peer *peer)
{
	http_close(http);
	peer_stop(peer);
}

static void
send_request(HttpRequest request)
{
	if (request.method == NULL)
		request.method = "GET";
	if (request.path == NULL)
		request.path = "/";
	if (request.max_bytes == 0)
		request.max_bytes = 100000;
	if (request.timeout_ms == 0 && !request.stream)
		request.timeout_ms = 5000;
	if (!http_send(http, &request))
		abort();
}

static HttpAnswer *
ask(HttpRequest request)
{
	HttpAnswer *answer;

	send_request(request);
	answer = wait_answer(20000);
	if (answer == NULL)
		abort();
	return answer;
}

/* ---- hosts ---- */

static void
test_hosts(void)
{
	static const char *const bad[] = {
		"", "http://x", "unix://", "unix://relative", "tcp://", "tcp://:1", "tcp://h:0",
		"tcp://h:65536", "tcp://h:1/path", "tcp://u@h:1", "tcp://h:", "tcp://[::1:2", "tcp://h h:1",
		"tcp://h:1?x", "tcp://h%00:1"
	};
	char		path[300] = "unix:///";

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		http = http_open(bad[i], "", 1, error, sizeof(error));
		ok(http == NULL && error[0] != '\0', "host \"%s\" is refused", bad[i]);
		http_close(http);
	}
	memset(path + 8, 'x', 200);
	ok(http_open(path, NULL, 1, error, sizeof(error)) == NULL, "a socket's path too long");
	http = http_open("tcp://[::1]:2375", NULL, 1, error, sizeof(error));
	ok(http != NULL, "IPv6 in brackets");
	http_close(http);
	http = http_open("tcp://host.example", NULL, 1, error, sizeof(error));
	ok(http != NULL, "without a port");
	http_close(http);
	ok(http_open("tcp://h:1", "/nonexistent", 1, error, sizeof(error)) == NULL &&
	   strstr(error, "/nonexistent/ca.pem") != NULL, "certificates that are missing are named");
}

static void
test_unreachable(void)
{
	HttpAnswer *answer;
	Peer		peer = peer_start(NULL, NULL, true);

	begin("unix:///nonexistent/docker.sock", 1);
	answer = ask((HttpRequest) {.method = "POST", .tag = 7});
	ok(answer->kind == HTTP_DONE && answer->status == 0 && answer->tag == 7, "no socket: no answer");
	ok(!answer->sent, "and nothing was sent, for certain");
	has_text(answer->error, "/nonexistent/docker.sock", "the socket is named");
	has_text(answer->error, "No such file", "and what is wrong with it");
	http_answer_free(answer);
	http_close(http);

	begin(peer.host, 1);
	peer_stop(&peer);
	answer = ask((HttpRequest) {.method = "POST"});
	ok(answer->status == 0 && !answer->sent, "a closed port: nothing was sent");
	http_answer_free(answer);
	http_close(http);
}

/* ---- answers ---- */

static void
serve_bytes(int fd, PeerLog *log, const void *argument)
{
	while (peer_read(fd, log))
	{
		peer_say(fd, argument);
		shutdown(fd, SHUT_WR);
	}
}

static HttpAnswer *
ask_bytes(const char *bytes, HttpRequest request)
{
	Peer		peer;
	HttpAnswer *answer;

	begin_peer(&peer, serve_bytes, bytes, false);
	answer = ask(request);
	end_peer(&peer);
	return answer;
}

static void
check_bytes(const char *bytes, int status, const char *body, const char *name)
{
	HttpAnswer *answer = ask_bytes(bytes, (HttpRequest) {0});

	ok(answer->status == status && answer->kind == HTTP_DONE, "%s: status", name);
	is_text(answer->body, body, name);
	ok(status != 0 || (answer->sent && answer->error[0] != '\0'), "%s: told in words", name);
	http_answer_free(answer);
}

static void
test_answers(void)
{
	HttpAnswer *answer;

	check_bytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", "a plain answer");
	check_bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
				200, "hello", "a chunked answer");
	check_bytes("HTTP/1.1 204 No Content\r\n\r\n", 204, "", "an answer without a body");
	check_bytes("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 409 X\r\nContent-Length: 2\r\n\r\nno",
				409, "no", "an answer after 100 Continue");
	check_bytes("HTTP/1.1 302 X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
				302, "", "a redirect is not followed");
	check_bytes("", 0, "", "a connection that is dropped");
	check_bytes("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", 0, "", "half a body");
	check_bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30\r\nhel", 0, "", "half a chunk");
	check_bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhel", 0, "", "no chunk at all");
	check_bytes("HTTP/1.1 200 OK\r\nContent-Len", 0, "", "half a head");
	check_bytes("\x01\x02garbage\r\n\r\n", 0, "", "garbage");
	check_bytes("hello", 0, "", "HTTP/0.9");
	check_bytes("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 0, "", "a length that is none");
	check_bytes("HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", 0, "", "a status that is none");

	answer = ask_bytes("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
					   (HttpRequest) {.max_bytes = 11});
	is_int((long long) answer->length, 11, "as long as allowed");
	http_answer_free(answer);
	answer = ask_bytes("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
					   (HttpRequest) {.max_bytes = 10});
	ok(answer->status == 0 && answer->too_long && answer->length == 0, "longer than allowed");
	http_answer_free(answer);
}

static void
serve_endless_body(int fd, PeerLog *log, const void *argument)
{
	static char block[65536];

	(void) argument;
	if (peer_read(fd, log) && peer_say(fd, "HTTP/1.1 200 OK\r\n\r\n"))
		while (peer_write(fd, block, sizeof(block)))
			;
}

static void
serve_endless_head(int fd, PeerLog *log, const void *argument)
{
	(void) argument;
	if (peer_read(fd, log) && peer_say(fd, "HTTP/1.1 200 OK\r\n"))
		while (peer_say(fd, "X-Header: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"))
			;
}

static void
serve_nothing(int fd, PeerLog *log, const void *argument)
{
	(void) argument;
	(void) peer_read(fd, log);
	pause();
}

/* A byte now and then. */
static void
serve_slowly(int fd, PeerLog *log, const void *argument)
{
	(void) argument;
	if (peer_read(fd, log) && peer_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"))
		while (peer_say(fd, "x"))
			usleep(50000);
}

static void
test_limits(void)
{
	static const struct
	{
		PeerServe	serve;
		const char *name;
	}			slow[] = {{serve_nothing, "a peer that hangs"}, {serve_slowly, "a slow peer"}};
	HttpAnswer *answer;
	Peer		peer;

	begin_peer(&peer, serve_endless_body, NULL, false);
	answer = ask((HttpRequest) {.timeout_ms = 20000});
	ok(answer->status == 0 && answer->too_long, "an endless body is cut off");
	http_answer_free(answer);
	end_peer(&peer);

	begin_peer(&peer, serve_endless_head, NULL, false);
	answer = ask((HttpRequest) {.timeout_ms = 20000});
	ok(answer->status == 0 && strstr(answer->error, "the head of the answer is too long") != NULL, "an endless head is cut off");
	http_answer_free(answer);
	end_peer(&peer);

	for (size_t i = 0; i < 2; i++)
	{
		long		before = clock_ms();
		long		took;

		begin_peer(&peer, slow[i].serve, NULL, false);
		answer = ask((HttpRequest) {.timeout_ms = 300});
		took = clock_ms() - before;
		ok(answer->status == 0 && answer->sent, "%s: given up, and sent", slow[i].name);
		ok(took >= 290 && took < 1500, "%s: in time (%ld ms)", slow[i].name, took);
		http_answer_free(answer);
		end_peer(&peer);
	}
}

/* ---- sent once ---- */

/* Answers the first request of a connection, and drops it at the second. */
static void
serve_one_then_drop(int fd, PeerLog *log, const void *argument)
{
	(void) argument;
	if (peer_read(fd, log))
		peer_answer(fd, 200, "first");
	(void) peer_read(fd, log);
}

static void
serve_and_keep(int fd, PeerLog *log, const void *argument)
{
	(void) argument;
	while (peer_read(fd, log))
		peer_answer(fd, 200, "x");
}

/* Drops every connection once it has read the request. */
static void
serve_drop(int fd, PeerLog *log, const void *argument)
{
	(void) argument;
	(void) peer_read(fd, log);
}

/*
 * libcurl repeats a request on a kept connection that turns out to be dead.  The
 * GET here shows that it does (else this test would show nothing).
 */
static void
test_sent_once(void)
{
	static const char *const methods[] = {"POST", "DELETE"};
	HttpAnswer *answer;
	Peer		peer;

	begin_peer(&peer, serve_one_then_drop, NULL, false);
	http_answer_free(ask((HttpRequest) {0}));
	answer = ask((HttpRequest) {0});
	is_int(answer->status, 200, "a GET is repeated on a dead connection");
	is_int(peer.log->requests, 3, "so that the peer saw it twice");
	http_answer_free(answer);
	end_peer(&peer);

	for (size_t i = 0; i < 2; i++)
	{
		begin_peer(&peer, serve_one_then_drop, NULL, false);
		http_answer_free(ask((HttpRequest) {0}));
		answer = ask((HttpRequest) {.method = methods[i]});
		is_int(answer->status, 200, "a change has a connection of its own");
		is_int(peer.log->requests, 2, "and is sent once");
		http_answer_free(answer);
		end_peer(&peer);

		begin_peer(&peer, serve_and_keep, NULL, false);
		http_answer_free(ask((HttpRequest) {.method = methods[i]}));
		http_answer_free(ask((HttpRequest) {0}));
		is_int(peer.log->connections, 2, "which nobody uses after it");
		end_peer(&peer);

		begin_peer(&peer, serve_drop, NULL, false);
		answer = ask((HttpRequest) {.method = methods[i]});
		ok(answer->status == 0 && answer->sent, "%s and the connection dropped", methods[i]);
		is_int(peer.log->requests, 1, "is not sent again");
		http_answer_free(answer);
		end_peer(&peer);
	}

	begin_peer(&peer, serve_and_keep, NULL, false);
	for (int i = 0; i < 5; i++)
		http_answer_free(ask((HttpRequest) {0}));
	is_int(peer.log->connections, 1, "GETs share a connection");
	end_peer(&peer);
}

static void
test_request(void)
{
	size_t		size = 3 * 1024 * 1024;
	char	   *body = malloc(size + 1);
	Peer		peer;

	memset(body, 'x', size);
	body[size] = '\0';
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	begin_peer(&peer, serve_and_keep, NULL, true);
	http_answer_free(ask((HttpRequest) {.method = "POST", .path = "/a/../b?x=%2F", .body = body}));
	has_text(peer.log->last, "POST /a/../b?x=%2F HTTP/1.1\r\n", "the path goes as it is, to the peer, not to a proxy");
	has_text(peer.log->last, "Content-Length: 3145728\r\n", "the body's length");
	has_text(peer.log->last, "Content-Type: application/json\r\n", "the body's type");
	ok(strcasestr(peer.log->last, "expect:") == NULL, "without Expect, which would let it be sent again");
	http_answer_free(ask((HttpRequest) {.method = "POST"}));
	has_text(peer.log->last, "Content-Length: 0\r\n", "a POST without body");
	ok(strcasestr(peer.log->last, "content-type") == NULL, "has no type");
	http_answer_free(ask((HttpRequest) {.method = "DELETE"}));
	has_text(peer.log->last, "DELETE / HTTP/1.1\r\n", "a DELETE");
	end_peer(&peer);
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
	free(body);
}

/* ---- many at once ---- */

static void
serve_in_a_while(int fd, PeerLog *log, const void *argument)
{
	(void) argument;
	while (peer_read(fd, log))
	{
		int			active = atomic_fetch_add(&log->active, 1) + 1;

		if (active > log->most_active)
			log->most_active = active;
		usleep(50000);
		atomic_fetch_sub(&log->active, 1);
		peer_answer(fd, 200, "x");
	}
}

static void
test_many(void)
{
	bool		seen[40] = {false};
	int			good = 0;
	HttpAnswer *answer;
	Peer		peer;

	begin_peer(&peer, serve_in_a_while, NULL, false);
	is_int(http_wait_ms(http), -1, "nothing to wait for at first");
	for (uint64_t i = 0; i < 40; i++)
		send_request((HttpRequest) {.tag = i});
	is_int(http_wait_ms(http), 0, "and there is something to do");
	for (int i = 0; i < 40 && (answer = wait_answer(10000)) != NULL; i++)
	{
		good += answer->status == 200 && !seen[answer->tag];
		seen[answer->tag] = true;
		http_answer_free(answer);
	}
	is_int(good, 40, "each was answered");
	ok(http_next(http) == NULL, "once");
	ok(peer.log->most_active <= 4 && peer.log->most_active > 1, "at most four at once (%d)",
	   peer.log->most_active);
	end_peer(&peer);
}

static void
test_cancel(void)
{
	HttpAnswer *answer;
	Peer		peer;

	begin_peer(&peer, serve_in_a_while, NULL, false);
	for (uint64_t i = 0; i < 6; i++)
		send_request((HttpRequest) {.tag = i});
	http_run(http);
	http_cancel(http, 0);		/* under way */
	http_cancel(http, 5);		/* waiting */
	http_cancel(http, 99);		/* unknown */
	for (int i = 0; i < 4; i++)
	{
		answer = wait_answer(5000);
		ok(answer != NULL && answer->tag != 0 && answer->tag != 5, "the others are answered");
		http_answer_free(answer);
	}
	ok(wait_answer(200) == NULL, "and nothing else is");
	send_request((HttpRequest) {.tag = 8});
	for (long until = clock_ms() + 1000; clock_ms() < until; poll(NULL, 0, 5))
		http_run(http);
	http_cancel(http, 8);
	ok(http_next(http) == NULL, "an answer not yet fetched goes too");
	is_int(http_wait_ms(http) == 0, 0, "and nothing is due for it");
	send_request((HttpRequest) {.tag = 9});
	http_run(http);
	end_peer(&peer);			/* closes with one under way */
}

/* ---- streams ---- */

static void
serve_stream(int fd, PeerLog *log, const void *argument)
{
	if (!peer_read(fd, log))
		return;
	peer_say(fd, "HTTP/1.1 200 OK\r\n\r\n");
	usleep(100000);
	peer_say(fd, "one\r\ntw");
	usleep(50000);
	peer_say(fd, "o\n\nthree\nrest");
	if (argument != NULL)
		pause();
}

static void
expect_line(const char *wanted)
{
	HttpAnswer *answer = wait_answer(5000);

	ok(answer != NULL && answer->kind == HTTP_LINE && strcmp(answer->body, wanted) == 0 &&
	   answer->length == strlen(wanted) && answer->tag == 3, "line \"%s\"", wanted);
	http_answer_free(answer);
}

static void
expect_open(void)
{
	HttpAnswer *answer = wait_answer(5000);

	ok(answer != NULL && answer->kind == HTTP_OPEN && answer->status == 200 && answer->tag == 3,
	   "the stream opens");
	http_answer_free(answer);
}

static void
test_stream(void)
{
	HttpAnswer *answer;
	Peer		peer;

	begin_peer(&peer, serve_stream, NULL, false);
	send_request((HttpRequest) {.stream = true, .tag = 3});
	http_run(http);
	expect_open();
	expect_line("one");
	expect_line("two");
	expect_line("");
	expect_line("three");
	answer = wait_answer(5000);
	ok(answer->kind == HTTP_DONE && answer->status == 200, "the stream ends");
	is_text(answer->body, "rest", "with what was no line");
	http_answer_free(answer);
	end_peer(&peer);

	begin_peer(&peer, serve_stream, "and pause", false);
	send_request((HttpRequest) {.stream = true, .tag = 3});
	expect_open();
	expect_line("one");
	http_cancel(http, 3);
	ok(wait_answer(300) == NULL, "a stream that is given up is silent");
	end_peer(&peer);

	begin_peer(&peer, serve_stream, NULL, false);
	send_request((HttpRequest) {.stream = true, .tag = 3, .max_bytes = 4});
	expect_open();
	expect_line("one");
	expect_line("two");
	expect_line("");
	answer = wait_answer(5000);
	ok(answer->kind == HTTP_DONE && answer->status == 0 && answer->too_long, "a line too long ends it");
	http_answer_free(answer);
	end_peer(&peer);

	answer = ask_bytes("HTTP/1.1 404 X\r\nContent-Length: 7\r\n\r\na\nb\nc\n\n",
					   (HttpRequest) {.stream = true});
	ok(answer->kind == HTTP_DONE && answer->status == 404, "a refused stream does not open");
	is_text(answer->body, "a\nb\nc\n\n", "and has a body as others have");
	http_answer_free(answer);

	begin_peer(&peer, serve_nothing, NULL, false);
	send_request((HttpRequest) {.stream = true, .tag = 3});
	http_run(http);
	ok(http_wait_ms(http) <= 30000 && http_wait_ms(http) >= 0, "a stream is not waited for for ever");
	end_peer(&peer);
}

#define FLOOD 200000

static void
serve_flood(int fd, PeerLog *log, const void *argument)
{
	char		line[32];

	(void) argument;
	if (!peer_read(fd, log) || !peer_say(fd, "HTTP/1.1 200 OK\r\n\r\n"))
		return;
	for (int i = 0; i < FLOOD; i++)
	{
		snprintf(line, sizeof(line), "%d\n", i);
		if (!peer_say(fd, line))
			return;
		atomic_store(&log->requests, i);
	}
}

/* A stream that nobody reads must stop, and go on when somebody does. */
static void
test_flood(void)
{
	HttpAnswer *answer;
	Peer		peer;
	int			count = 0;
	bool		in_order = true;

	begin_peer(&peer, serve_flood, NULL, false);
	send_request((HttpRequest) {.stream = true, .tag = 3});
	for (int i = 0; i < 300; i++)
	{
		http_run(http);
		poll(NULL, 0, 5);
	}
	ok(peer.log->requests < FLOOD - 1, "the peer is held up (at line %d)", peer.log->requests);
	while ((answer = wait_answer(5000)) != NULL && answer->kind != HTTP_DONE)
	{
		if (answer->kind == HTTP_LINE)
			in_order = atoi(answer->body) == count++ && in_order;
		http_answer_free(answer);
	}
	ok(answer != NULL && answer->status == 200, "and it ends well");
	http_answer_free(answer);
	ok(count == FLOOD && in_order, "with every line, in order (%d)", count);
	end_peer(&peer);
}

/* ---- threads, signals, descriptors ---- */

static volatile bool resolver_ran;
static volatile bool resolver_deaf;
static volatile int resolver_ms;

/* libcurl's resolver thread calls this in place of the C library's. */
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
			struct addrinfo **result)
{
	sigset_t	mask;

	(void) node;
	(void) service;
	(void) hints;
	*result = NULL;
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	resolver_deaf = sigismember(&mask, SIGUSR1) == 1 && sigismember(&mask, SIGTERM) == 1 &&
		sigismember(&mask, SIGALRM) == 1 && sigismember(&mask, SIGCHLD) == 1;
	resolver_ran = true;
	poll(NULL, 0, resolver_ms);
	return EAI_NONAME;
}

static void
test_resolver(void)
{
	HttpAnswer *answer;
	sigset_t	mask;
	long		before;
	long		took;

	begin("tcp://engine.example:2375", 1);
	answer = ask((HttpRequest) {.method = "POST"});
	ok(answer->status == 0 && !answer->sent, "a name that is none: nothing was sent");
	ok(resolver_ran && resolver_deaf, "the resolver's thread takes no signals");
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	ok(sigismember(&mask, SIGUSR1) == 0, "and the process still does");
	http_answer_free(answer);

	resolver_ms = 3000;
	before = clock_ms();
	answer = ask((HttpRequest) {.method = "POST", .timeout_ms = 200});
	took = clock_ms() - before;
	ok(answer->status == 0 && !answer->sent, "a name server that hangs: nothing was sent");
	ok(took < 1500, "and nobody waits for it (%ld ms)", took);
	http_answer_free(answer);
	before = clock_ms();
	send_request((HttpRequest) {.tag = 1});
	http_run(http);
	http_cancel(http, 1);
	http_close(http);
	took = clock_ms() - before;
	ok(took < 1500, "nor at the end (%ld ms)", took);
	resolver_ms = 0;
	poll(NULL, 0, 3500);		/* let the threads end before the leak check */
}

static int
inherited_descriptors(void)
{
	DIR		   *directory = opendir("/proc/self/fd");
	struct dirent *entry;
	int			count = 0;

	while ((entry = readdir(directory)) != NULL)
	{
		int			fd = atoi(entry->d_name);
		int			flags = fcntl(fd, F_GETFD);

		if (fd > 2 && fd != dirfd(directory) && flags >= 0 && (flags & FD_CLOEXEC) == 0)
			count++;
	}
	closedir(directory);
	return count;
}

static void
test_descriptors(void)
{
	int			before;
	int			fillers[1200];
	struct rlimit limit;
	HttpAnswer *answer;
	Peer		peer;

	begin_peer(&peer, serve_and_keep, NULL, true);
	before = inherited_descriptors();	/* libcurl's own pair is among them */
	http_answer_free(ask((HttpRequest) {0}));
	is_int(inherited_descriptors(), before, "no connection is inherited by a program that is started");
	end_peer(&peer);

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < 1200; i++)
		fillers[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	begin_peer(&peer, serve_and_keep, NULL, false);
	answer = ask((HttpRequest) {0});
	ok(fillers[1199] > 1024 && answer->status == 200, "descriptors beyond 1024 (%d)", fillers[1199]);
	http_answer_free(answer);
	end_peer(&peer);
	for (int i = 0; i < 1200; i++)
		close(fillers[i]);
}

static void
test_broken_pipe(void)
{
	char	   *body = malloc(8 * 1024 * 1024);
	HttpAnswer *answer;
	sigset_t	pending;
	Peer		peer = peer_start(NULL, NULL, true);

	peer_stop(&peer);
	memset(body, 'x', 8 * 1024 * 1024 - 1);
	body[8 * 1024 * 1024 - 1] = '\0';
	signal(SIGPIPE, SIG_DFL);
	begin_peer(&peer, serve_bytes, NULL, false);
	kill(-peer.pid, SIGSTOP);
	send_request((HttpRequest) {.method = "POST", .body = body});
	for (int i = 0; i < 20; i++)
		http_run(http);
	kill(-peer.pid, SIGKILL);
	answer = wait_answer(6000);
	ok(answer != NULL && answer->status == 0 && answer->sent, "a peer that dies while it is sent to");
	sigpending(&pending);
	is_int(sigismember(&pending, SIGPIPE), 0, "and no SIGPIPE stays");
	http_answer_free(answer);
	end_peer(&peer);
	free(body);
}

int
main(void)
{
	alarm(900);
	test_hosts();
	test_unreachable();
	test_answers();
	test_limits();
	test_sent_once();
	test_request();
	test_many();
	test_cancel();
	test_stream();
	test_flood();
	test_resolver();
	test_descriptors();
	test_broken_pipe();
	return tap_end();
}
