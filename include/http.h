/*
 * http.h
 *		One HTTP client for the Docker Engine: libcurl's multi interface whose
 *		sockets all live in one epoll descriptor.
 *
 * Room: carries requests and answers as bytes.  It knows nothing of Docker, of
 * PostgreSQL or of JSON, allocates with malloc() only, and never calls back
 * into its user: finished exchanges are fetched with http_next(), so nobody's
 * error can unwind through libcurl.
 *
 * Everything is bounded: each request has a limit for the body and a deadline.
 */
#ifndef HAFSTACK_HTTP_H
#define HAFSTACK_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Http Http;

/* What a request asks for.  Strings are copied. */
typedef struct HttpRequest
{
	const char *method;			/* "GET", "POST", "DELETE" */
	const char *path;			/* absolute, already quoted: "/v1.41/info" */
	const char *body;			/* JSON to send, or NULL */
	size_t		max_bytes;		/* a longer answer is cut off and is an error;
								 * for a stream: the longest single line */
	long		timeout_ms;		/* for the whole exchange; 0: no limit */
	bool		stream;			/* deliver line by line as it arrives */
	uint64_t	tag;			/* handed back with every answer */
} HttpRequest;

typedef enum HttpAnswerKind
{
	HTTP_DONE,					/* the exchange is over: status and body */
	HTTP_LINE,					/* one line of a stream, which goes on */
	HTTP_OPEN					/* a stream answered 2xx and is open now */
} HttpAnswerKind;

typedef struct HttpAnswer
{
	HttpAnswerKind kind;
	uint64_t	tag;
	int			status;			/* HTTP status; 0: no (whole) answer came */
	bool		sent;			/* HTTP_DONE with status 0: false means that for
								 * certain no byte of the request left us */
	bool		too_long;		/* status 0, because max_bytes was exceeded */
	char	   *body;			/* never NULL, NUL-terminated, may hold NULs */
	size_t		length;
	char		error[256];		/* status 0: what went wrong, in words */
} HttpAnswer;

/*
 * Open a client for host, as DOCKER_HOST: "unix:///path" or "tcp://host:port";
 * with cert_path non-empty TLS with ca.pem, cert.pem and key.pem there.  Opens
 * no connection yet.  NULL, with words in error, when host cannot be understood
 * or the certificate files cannot be read.
 */
extern Http *http_open(const char *host, const char *cert_path,
					   int max_requests, char *error, size_t error_size);
extern void http_close(Http *http);

/* The epoll descriptor to wait on, and milliseconds until http_run() is due
 * though nothing is readable (-1: never). */
extern int	http_descriptor(const Http *http);
extern long http_wait_ms(Http *http);

/* Queue a request.  Beyond max_requests at once it waits its turn (streams do
 * not count).  False only when memory is short. */
extern bool http_send(Http *http, const HttpRequest *request);

/* Give up the exchange with this tag, if it is still under way; no answer for
 * it will come. */
extern void http_cancel(Http *http, uint64_t tag);

/* Do what is possible without waiting. */
extern void http_run(Http *http);

/* Milliseconds of a clock that nobody sets. */
extern int64_t http_clock_ms(void);

/* Next answer, oldest first, or NULL.  Free with http_answer_free(). */
extern HttpAnswer *http_next(Http *http);
extern void http_answer_free(HttpAnswer *answer);

#endif							/* HAFSTACK_HTTP_H */
