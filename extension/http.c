/*
 * http.c
 *		HTTP requests to one host, many at once, without ever waiting.
 *
 * Room: see http.h.  libcurl moves the bytes; its sockets are all watched by
 * one epoll descriptor, its clock by one due time, and what it finished is put
 * into a list that the user empties.  Callbacks go from libcurl to this file
 * only.
 *
 * Two promises are kept here that libcurl does not keep by itself:
 *
 * - No request that changes anything is sent twice.  libcurl repeats a request
 *	 by itself when a connection that it kept from before turns out to be dead;
 *	 so whatever is not a GET gets a connection of its own.
 *
 * - No thread of libcurl's (it may resolve names in one) ever runs a signal
 *	 handler of the process: all signals are blocked while libcurl runs, and a
 *	 thread inherits that.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "http.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HEADER_MAX			((size_t) 256 * 1024)	/* bytes of one answer's head */
#define CONNECT_MS			10000	/* for a connection to come about */
#define OPEN_MS				30000	/* for an endless stream to be answered */
#define KEEPALIVE_S			60L		/* a peer that vanished is noticed */
#define LINES_MAX			4096	/* lines not yet fetched, then streams pause */
#define EVENTS_AT_ONCE		64
#define ROUNDS_AT_ONCE		16

/* An answer in the list; the answer is first, so that it can be freed by it. */
typedef struct Item
{
	HttpAnswer	answer;
	struct Item *next;
} Item;

typedef struct Exchange
{
	struct Exchange *next;
	Http	   *http;
	CURL	   *easy;			/* NULL while it waits its turn */
	struct curl_slist *headers;
	char	   *method;
	char	   *url;
	char	   *body;			/* NULL: none */
	size_t		max_bytes;
	long		timeout_ms;
	bool		stream;
	bool		sent;			/* a byte may have left us */
	bool		headed;			/* the answer's head is whole */
	bool		opened;			/* stream: answered 2xx */
	bool		paused;			/* stream: stopped until lines are fetched */
	bool		too_long;
	const char *broken;			/* why we ended it ourselves */
	int64_t		open_by;		/* stream: must be answered by then; 0: whenever */
	size_t		header_bytes;
	char	   *data;			/* what came, always with room for a NUL */
	size_t		length;
	size_t		room;
	Item	   *done;			/* made beforehand: the end can always be told */
	char		curl_error[CURL_ERROR_SIZE];
} Exchange;

struct Http
{
	CURLM	   *multi;
	int			epoll;
	char	   *base;			/* "http://host:port" */
	char	   *socket_path;	/* NULL: TCP */
	char	   *ca;				/* NULL: no TLS */
	char	   *cert;
	char	   *key;
	int			max_requests;
	int			active;			/* running, streams aside */
	int64_t		due;			/* libcurl's clock, -1: nothing is due */
	Exchange   *waiting;		/* oldest first */
	Exchange   *running;
	Item	   *first;			/* answers, oldest first */
	Item	   *last;
	int			lines;			/* of them, lines */
};

int64_t
http_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * Signals.  A SIGPIPE that TLS code raises by writing to a closed socket is
 * taken away before the mask is restored, unless it was pending before.
 */
typedef struct Signals
{
	sigset_t	mask;
	bool		pipe_pending;
} Signals;

static Signals
signals_block(void)
{
	Signals		before;
	sigset_t	all;

	sigfillset(&all);
	sigemptyset(&before.mask);
	pthread_sigmask(SIG_BLOCK, &all, &before.mask);
	sigemptyset(&all);
	sigpending(&all);
	before.pipe_pending = sigismember(&all, SIGPIPE) == 1;
	return before;
}

static void
signals_restore(const Signals *before)
{
	static const struct timespec at_once = {0, 0};
	sigset_t	broken_pipe;

	if (!before->pipe_pending)
	{
		sigemptyset(&broken_pipe);
		sigaddset(&broken_pipe, SIGPIPE);
		while (sigtimedwait(&broken_pipe, NULL, &at_once) < 0 && errno == EINTR)
			;
	}
	pthread_sigmask(SIG_SETMASK, &before->mask, NULL);
}

/* ---- answers ---- */

static Item *
item_make(HttpAnswerKind kind, uint64_t tag)
{
	Item	   *item = calloc(1, sizeof(Item));

	if (item == NULL)
		return NULL;
	item->answer.kind = kind;
	item->answer.tag = tag;
	item->answer.body = calloc(1, 1);
	if (item->answer.body == NULL)
	{
		free(item);
		return NULL;
	}
	return item;
}

static void
item_append(Http *http, Item *item)
{
	item->next = NULL;
	if (http->last != NULL)
		http->last->next = item;
	else
		http->first = item;
	http->last = item;
	if (item->answer.kind == HTTP_LINE)
		http->lines++;
}

static Item *
item_pop(Http *http)
{
	Item	   *item = http->first;

	if (item == NULL)
		return NULL;
	http->first = item->next;
	if (http->first == NULL)
		http->last = NULL;
	if (item->answer.kind == HTTP_LINE)
		http->lines--;
	return item;
}

HttpAnswer *
http_next(Http *http)
{
	Item	   *item = item_pop(http);

	return item != NULL ? &item->answer : NULL;
}

void
http_answer_free(HttpAnswer *answer)
{
	if (answer == NULL)
		return;
	free(answer->body);
	free(answer);				/* the first member of its Item */
}

/* Hand what has been collected over to an answer. */
static void
answer_take(HttpAnswer *answer, Exchange *exchange)
{
	if (exchange->data == NULL)
		return;
	free(answer->body);
	answer->body = exchange->data;
	answer->length = exchange->length;
	answer->body[answer->length] = '\0';
	exchange->data = NULL;
	exchange->length = exchange->room = 0;
}

/* ---- exchanges ---- */

static void
exchange_free(Exchange *exchange)
{
	if (exchange->easy != NULL)
		curl_easy_cleanup(exchange->easy);
	curl_slist_free_all(exchange->headers);
	if (exchange->done != NULL)
		http_answer_free(&exchange->done->answer);
	free(exchange->method);
	free(exchange->url);
	if (exchange->body != NULL)
		explicit_bzero(exchange->body, strlen(exchange->body));
	free(exchange->body);
	free(exchange->data);
	free(exchange);
}

static void
list_append(Exchange **list, Exchange *exchange)
{
	while (*list != NULL)
		list = &(*list)->next;
	exchange->next = NULL;
	*list = exchange;
}

static void
list_remove(Exchange **list, const Exchange *exchange)
{
	while (*list != NULL && *list != exchange)
		list = &(*list)->next;
	if (*list != NULL)
		*list = exchange->next;
}

/* Take the first exchange with a tag out of a list; NULL if there is none. */
static Exchange *
list_take(Exchange **list, uint64_t tag)
{
	Exchange   *exchange;

	while (*list != NULL && (*list)->done->answer.tag != tag)
		list = &(*list)->next;
	exchange = *list;
	if (exchange != NULL)
		*list = exchange->next;
	return exchange;
}

/* Take an exchange, which is in no list any more, away from libcurl. */
static void
exchange_detach(const Exchange *exchange)
{
	Http	   *http = exchange->http;

	curl_multi_remove_handle(http->multi, exchange->easy);
	if (!exchange->stream)
		http->active--;
}

static bool
collect(Exchange *exchange, const char *data, size_t length)
{
	if (length > exchange->max_bytes - exchange->length)
	{
		exchange->too_long = true;
		exchange->broken = exchange->opened ? "a line of the answer is too long" :
			"the answer is too long";
		return false;
	}
	if (exchange->data == NULL || exchange->length + length + 1 > exchange->room)
	{
		size_t		room = (exchange->length + length + 1) * 2;
		char	   *bigger = realloc(exchange->data, room);

		if (bigger == NULL)
		{
			exchange->broken = "out of memory";
			return false;
		}
		exchange->data = bigger;
		exchange->room = room;
	}
	memcpy(exchange->data + exchange->length, data, length);
	exchange->length += length;
	return true;
}

/* A line is whole: put it into the list. */
static bool
deliver_line(Exchange *exchange)
{
	Item	   *item = item_make(HTTP_LINE, exchange->done->answer.tag);

	if (item == NULL)
	{
		exchange->broken = "out of memory";
		return false;
	}
	if (exchange->length > 0 && exchange->data[exchange->length - 1] == '\r')
		exchange->length--;
	answer_take(&item->answer, exchange);
	item_append(exchange->http, item);
	return true;
}

static bool
collect_lines(Exchange *exchange, const char *data, size_t length)
{
	while (length > 0)
	{
		const char *end = memchr(data, '\n', length);
		size_t		piece = end != NULL ? (size_t) (end - data) : length;

		if (!collect(exchange, data, piece))
			return false;
		if (end == NULL)
			break;
		if (!deliver_line(exchange))
			return false;
		data += piece + 1;
		length -= piece + 1;
	}
	return true;
}

/* ---- libcurl's callbacks ---- */

static size_t
on_body(char *data, size_t one, size_t length, void *argument)
{
	Exchange   *exchange = argument;
	bool		taken;

	(void) one;
	if (!exchange->opened)
		taken = collect(exchange, data, length);
	else if (exchange->http->lines >= LINES_MAX)
	{
		/* nobody fetches: let the peer wait; libcurl will bring this again */
		exchange->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	else
		taken = collect_lines(exchange, data, length);
	return taken ? length : 0;
}

/* The empty line at the end of a head (not of 100 Continue): a stream is open now. */
static bool
on_head_end(Exchange *exchange)
{
	long		status = 0;
	Item	   *item;

	curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
	exchange->headed = status >= 200;
	if (!exchange->stream || exchange->opened || status < 200 || status > 299)
		return true;
	item = item_make(HTTP_OPEN, exchange->done->answer.tag);
	if (item == NULL)
	{
		exchange->broken = "out of memory";
		return false;
	}
	item->answer.status = (int) status;
	item->answer.sent = true;
	item_append(exchange->http, item);
	exchange->opened = true;
	exchange->open_by = 0;
	return true;
}

static size_t
on_header(char *data, size_t one, size_t length, void *argument)
{
	Exchange   *exchange = argument;

	(void) one;
	exchange->header_bytes += length;
	if (exchange->header_bytes > HEADER_MAX)
	{
		exchange->broken = "the head of the answer is too long";
		return 0;
	}
	if ((length == 2 && memcmp(data, "\r\n", 2) == 0) || (length == 1 && *data == '\n'))
		return on_head_end(exchange) ? length : 0;
	return length;
}

/* Connected, and the handshakes done: from here on a byte may go out. */
static int
on_ready(void *argument, char *remote, char *local, int remote_port, int local_port)
{
	(void) remote;
	(void) local;
	(void) remote_port;
	(void) local_port;
	((Exchange *) argument)->sent = true;
	return CURL_PREREQFUNC_OK;
}

/*
 * libcurl wants a socket watched otherwise than before.  Whether the kernel
 * still knows it is asked of the kernel: a closed socket leaves by itself, and
 * its number may be back as another socket.
 */
static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *argument, void *unused)
{
	Http	   *http = argument;
	struct epoll_event event = {0};

	(void) easy;
	(void) unused;
	if (what == CURL_POLL_REMOVE)
	{
		(void) epoll_ctl(http->epoll, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	event.data.fd = fd;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		event.events |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		event.events |= EPOLLOUT;
	if (epoll_ctl(http->epoll, EPOLL_CTL_MOD, fd, &event) == 0)
		return 0;
	/* new here, and not for programs that the process may start */
	(void) fcntl(fd, F_SETFD, FD_CLOEXEC);
	return epoll_ctl(http->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -1;
}

static int
on_timer(CURLM *multi, long ms, void *argument)
{
	Http	   *http = argument;

	(void) multi;
	http->due = ms < 0 ? -1 : http_clock_ms() + ms;
	return 0;
}

/* ---- opening ---- */

static char *
join(const char *a, const char *b)
{
	char	   *both = NULL;

	return asprintf(&both, "%s%s", a, b) < 0 ? NULL : both;
}

static bool
parse_unix(Http *http, const char *path, char *error, size_t error_size)
{
	struct sockaddr_un address;

	if (path[0] != '/' || strlen(path) >= sizeof(address.sun_path))
	{
		snprintf(error, error_size,
				 "the path of the Docker socket must be absolute and shorter than %zu bytes",
				 sizeof(address.sun_path));
		return false;
	}
	http->socket_path = strdup(path);
	http->base = strdup("http://localhost");
	return true;
}

/* "host", "host:port", "[v6]:port": the length of the host, 0 if it is none. */
static size_t
host_length(const char *text)
{
	size_t		length;

	if (text[0] == '[')
	{
		length = 1 + strspn(text + 1, "0123456789abcdefABCDEF:.");
		return length > 1 && text[length] == ']' ? length + 1 : 0;
	}
	return strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_");
}

static bool
parse_tcp(Http *http, const char *address, bool tls, char *error, size_t error_size)
{
	size_t		host = host_length(address);
	const char *rest = address + host;
	long		port = tls ? 2376 : 2375;
	char	   *end = NULL;

	if (*rest == ':' && strspn(rest + 1, "0123456789") > 0)
	{
		port = strtol(rest + 1, &end, 10);
		rest = end;
	}
	if (strcmp(rest, "/") == 0)
		rest++;
	if (host == 0 || host > 255 || *rest != '\0' || port < 1 || port > 65535)
	{
		snprintf(error, error_size, "the Docker host must be unix:///path or tcp://host:port");
		return false;
	}
	if (asprintf(&http->base, "%s://%.*s:%ld", tls ? "https" : "http",
				 (int) host, address, port) < 0)
		http->base = NULL;
	return true;
}

static bool
find_certificates(Http *http, const char *path, char *error, size_t error_size)
{
	char	  **files[] = {&http->ca, &http->cert, &http->key};
	static const char *const names[] = {"/ca.pem", "/cert.pem", "/key.pem"};

	for (int i = 0; i < 3; i++)
	{
		*files[i] = join(path, names[i]);
		if (*files[i] == NULL)
		{
			snprintf(error, error_size, "out of memory");
			return false;
		}
		if (access(*files[i], R_OK) != 0)
		{
			snprintf(error, error_size, "cannot read \"%s\": %s", *files[i], strerror(errno));
			return false;
		}
	}
	return true;
}

static bool
parse_host(Http *http, const char *host, const char *cert_path, char *error, size_t error_size)
{
	bool		tls = cert_path != NULL && cert_path[0] != '\0';

	if (strncmp(host, "unix://", 7) == 0)
		return parse_unix(http, host + 7, error, error_size);
	if (strncmp(host, "tcp://", 6) == 0)
		return parse_tcp(http, host + 6, tls, error, error_size) &&
			(!tls || find_certificates(http, cert_path, error, error_size));
	snprintf(error, error_size, "the Docker host must be unix:///path or tcp://host:port");
	return false;
}

static bool
open_multi(Http *http)
{
	CURLM	   *multi;

	http->epoll = epoll_create1(EPOLL_CLOEXEC);
	http->multi = multi = curl_multi_init();
	if (http->epoll < 0 || multi == NULL)
		return false;
	return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) http->max_requests) == CURLM_OK;
}

Http *
http_open(const char *host, const char *cert_path, int max_requests,
		  char *error, size_t error_size)
{
	Http	   *http = calloc(1, sizeof(Http));
	Signals		signals;
	bool		good;

	snprintf(error, error_size, "out of memory");
	if (http == NULL)
		return NULL;
	http->epoll = -1;
	http->due = -1;
	http->max_requests = max_requests > 0 ? max_requests : 1;
	signals = signals_block();
	good = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	signals_restore(&signals);
	if (!good)
	{
		free(http);
		return NULL;
	}
	good = parse_host(http, host, cert_path, error, error_size) && http->base != NULL;
	if (good)
	{
		signals = signals_block();
		good = open_multi(http);
		signals_restore(&signals);
		if (!good)
			snprintf(error, error_size, "cannot set up the HTTP client: %s", strerror(errno));
	}
	if (!good)
	{
		http_close(http);
		return NULL;
	}
	error[0] = '\0';
	return http;
}

void
http_close(Http *http)
{
	Signals		signals;
	Exchange   *exchange;
	Item	   *item;

	if (http == NULL)
		return;
	signals = signals_block();
	while ((exchange = http->running) != NULL)
	{
		http->running = exchange->next;
		exchange_detach(exchange);
		exchange_free(exchange);
	}
	while ((exchange = http->waiting) != NULL)
	{
		http->waiting = exchange->next;
		exchange_free(exchange);
	}
	if (http->multi != NULL)
		curl_multi_cleanup(http->multi);
	curl_global_cleanup();
	signals_restore(&signals);
	while ((item = item_pop(http)) != NULL)
		http_answer_free(&item->answer);
	if (http->epoll >= 0)
		close(http->epoll);
	free(http->base);
	free(http->socket_path);
	free(http->ca);
	free(http->cert);
	free(http->key);
	free(http);
}

/* ---- sending ---- */

bool
http_send(Http *http, const HttpRequest *request)
{
	Exchange   *exchange = calloc(1, sizeof(Exchange));

	if (exchange == NULL)
		return false;
	exchange->http = http;
	exchange->method = strdup(request->method);
	exchange->url = join(http->base, request->path);
	exchange->max_bytes = request->max_bytes;
	exchange->timeout_ms = request->timeout_ms;
	exchange->stream = request->stream;
	exchange->done = item_make(HTTP_DONE, request->tag);
	if (request->body != NULL)
		exchange->body = strdup(request->body);
	if (exchange->method == NULL || exchange->url == NULL || exchange->done == NULL ||
		(request->body != NULL && exchange->body == NULL))
	{
		exchange_free(exchange);
		return false;
	}
	list_append(&http->waiting, exchange);
	return true;
}

/* How to reach the host, and nobody else. */
static bool
set_peer(const Http *http, CURL *easy)
{
	bool		good;

	good = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S) == CURLE_OK &&
		/* a resolver's thread that hangs must not be waited for */
		curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
	if (good && http->socket_path != NULL)
		good = curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, http->socket_path) == CURLE_OK;
	if (good && http->ca != NULL)
		good = curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca) == CURLE_OK &&
			/* this CA alone, not those that the system trusts as well */
			curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_SSLCERT, http->cert) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_SSLKEY, http->key) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
	return good;
}

/* What is asked for. */
static bool
set_request(Exchange *exchange, CURL *easy)
{
	struct curl_slist *headers;
	bool		get = strcmp(exchange->method, "GET") == 0;
	bool		good;

	/* Expect would let libcurl send the body a second time */
	headers = curl_slist_append(NULL, "Expect:");
	exchange->headers = headers;
	if (headers == NULL)
		return false;
	headers = curl_slist_append(headers, exchange->body != NULL ?
								"Content-Type: application/json" : "Content-Type:");
	good = headers != NULL &&
		curl_easy_setopt(easy, CURLOPT_URL, exchange->url) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_USERAGENT, "hafstack") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers) == CURLE_OK;
	if (good && !get)
		good = curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK;
	if (good && strcmp(exchange->method, "POST") == 0)
	{
		const char *body = exchange->body != NULL ? exchange->body : "";

		good = curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
							 (curl_off_t) strlen(body)) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body) == CURLE_OK;
	}
	else if (good && !get)
		good = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, exchange->method) == CURLE_OK;
	return good;
}

/* Where what comes goes, and until when. */
static bool
set_answer(Exchange *exchange, CURL *easy)
{
	long		connect_ms = CONNECT_MS;

	if (exchange->timeout_ms > 0 && exchange->timeout_ms < connect_ms)
		connect_ms = exchange->timeout_ms;
	return curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->curl_error) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_ready) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PREREQDATA, exchange) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, exchange->timeout_ms) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK;
}

/* ---- the end of an exchange ---- */

static void
describe_failure(Exchange *exchange, CURLcode code, HttpAnswer *answer)
{
	const char *why = exchange->broken;
	long		os_error = 0;

	if (why == NULL)
		why = exchange->curl_error[0] != '\0' ? exchange->curl_error : curl_easy_strerror(code);
	if (exchange->easy != NULL)
		curl_easy_getinfo(exchange->easy, CURLINFO_OS_ERRNO, &os_error);
	/* libcurl speaks of localhost, port 80, when it means the socket's file */
	if (code == CURLE_COULDNT_CONNECT && exchange->http->socket_path != NULL)
		snprintf(answer->error, sizeof(answer->error), "cannot connect to \"%s\": %s",
				 exchange->http->socket_path,
				 os_error != 0 ? strerror((int) os_error) : "connection failed");
	else
		snprintf(answer->error, sizeof(answer->error), "%s", why);
}

/* Put the last answer into the list; the exchange is no more. */
static void
exchange_finish(Exchange *exchange, CURLcode code)
{
	Item	   *item = exchange->done;
	HttpAnswer *answer = &item->answer;
	long		status = 0;

	answer->sent = exchange->sent;
	if (exchange->broken != NULL && code == CURLE_OK)
		code = CURLE_WRITE_ERROR;
	if (code == CURLE_OK)
		curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && status <= 999 && exchange->headed)
	{
		answer->status = (int) status;
		answer_take(answer, exchange);
	}
	else
	{
		answer->too_long = exchange->too_long;
		describe_failure(exchange, code != CURLE_OK ? code : CURLE_WEIRD_SERVER_REPLY, answer);
	}
	item_append(exchange->http, item);
	exchange->done = NULL;
	exchange_free(exchange);
}

static void
exchange_begin(Exchange *exchange)
{
	Http	   *http = exchange->http;
	CURL	   *easy = curl_easy_init();

	exchange->easy = easy;
	if (easy == NULL || !set_peer(http, easy) || !set_request(exchange, easy) ||
		!set_answer(exchange, easy) || curl_multi_add_handle(http->multi, easy) != CURLM_OK)
	{
		exchange_finish(exchange, CURLE_OUT_OF_MEMORY);
		return;
	}
	if (exchange->stream && exchange->timeout_ms == 0)
		exchange->open_by = http_clock_ms() + OPEN_MS;
	list_append(&http->running, exchange);
	if (!exchange->stream)
		http->active++;
}

/* ---- running ---- */

static bool
may_begin(const Http *http, const Exchange *exchange)
{
	return exchange->stream || http->active < http->max_requests;
}

/* The first exchange that may begin: a stream does not wait behind others. */
static Exchange *
first_to_begin(const Http *http)
{
	Exchange   *exchange = http->waiting;

	while (exchange != NULL && !may_begin(http, exchange))
		exchange = exchange->next;
	return exchange;
}

static void
begin_waiting(Http *http)
{
	Exchange   *exchange;

	while ((exchange = first_to_begin(http)) != NULL)
	{
		list_remove(&http->waiting, exchange);
		exchange_begin(exchange);
	}
}

static bool
may_resume(const Http *http, const Exchange *exchange)
{
	return exchange->paused && http->lines < LINES_MAX / 2;
}

static void
resume_streams(Http *http)
{
	for (Exchange *exchange = http->running; exchange != NULL; exchange = exchange->next)
	{
		if (may_resume(http, exchange))
		{
			exchange->paused = false;
			(void) curl_easy_pause(exchange->easy, CURLPAUSE_CONT);
		}
	}
}

static void
end_unanswered_streams(Http *http)
{
	int64_t		now = http_clock_ms();
	Exchange   *next;

	for (Exchange *exchange = http->running; exchange != NULL; exchange = next)
	{
		next = exchange->next;
		if (exchange->open_by != 0 && exchange->open_by <= now)
		{
			exchange->broken = "the stream was not answered in time";
			list_remove(&http->running, exchange);
			exchange_detach(exchange);
			exchange_finish(exchange, CURLE_OPERATION_TIMEDOUT);
		}
	}
}

static void
serve_sockets(Http *http)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int			running;
	int			count = epoll_wait(http->epoll, events, EVENTS_AT_ONCE, 0);

	for (int i = 0; i < count; i++)
	{
		int			what = 0;

		if (events[i].events & EPOLLIN)
			what |= CURL_CSELECT_IN;
		if (events[i].events & EPOLLOUT)
			what |= CURL_CSELECT_OUT;
		if (events[i].events & (EPOLLERR | EPOLLHUP))
			what |= CURL_CSELECT_ERR;
		(void) curl_multi_socket_action(http->multi, events[i].data.fd, what, &running);
	}
}

static void
serve_clock(Http *http)
{
	int			running;

	if (http->due >= 0 && http->due <= http_clock_ms())
	{
		http->due = -1;
		(void) curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
}

static void
reap(Http *http)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		CURLcode	code = message->data.result;
		Exchange   *exchange = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &exchange);
		list_remove(&http->running, exchange);
		exchange_detach(exchange);
		exchange_finish(exchange, code);
	}
}

void
http_run(Http *http)
{
	Signals		signals = signals_block();

	for (int round = 0; round < ROUNDS_AT_ONCE; round++)
	{
		begin_waiting(http);
		resume_streams(http);
		serve_sockets(http);
		serve_clock(http);
		reap(http);
		end_unanswered_streams(http);
		if (first_to_begin(http) == NULL && (http->due < 0 || http->due > http_clock_ms()))
			break;
	}
	signals_restore(&signals);
}

int
http_descriptor(const Http *http)
{
	return http->epoll;
}

long
http_wait_ms(Http *http)
{
	int64_t		due = http->due;
	int64_t		now;

	if (http->first != NULL || first_to_begin(http) != NULL)
		return 0;
	for (const Exchange *exchange = http->running; exchange != NULL; exchange = exchange->next)
	{
		if (may_resume(http, exchange))
			return 0;
		if (exchange->open_by != 0 && (due < 0 || exchange->open_by < due))
			due = exchange->open_by;
	}
	if (due < 0)
		return -1;
	now = http_clock_ms();
	return due > now ? (long) (due - now) : 0;
}

/* Answers of a tag that nobody wants any more. */
static void
forget_answers(Http *http, uint64_t tag)
{
	Item	   *item = http->first;

	http->first = http->last = NULL;
	http->lines = 0;
	while (item != NULL)
	{
		Item	   *next = item->next;

		if (item->answer.tag == tag)
			http_answer_free(&item->answer);
		else
			item_append(http, item);
		item = next;
	}
}

void
http_cancel(Http *http, uint64_t tag)
{
	Exchange   *exchange;

	while ((exchange = list_take(&http->waiting, tag)) != NULL)
		exchange_free(exchange);
	while ((exchange = list_take(&http->running, tag)) != NULL)
	{
		Signals		signals = signals_block();

		exchange_detach(exchange);
		exchange_free(exchange);
		signals_restore(&signals);
	}
	forget_answers(http, tag);
}
