/*
 * call.h
 *		One Engine call after the other, waiting for each: what a plain script
 *		would do, without a script's own cost.
 */
#ifndef BENCH_CALL_H
#define BENCH_CALL_H

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Caller
{
	CURL	   *easy;			/* keeps its connection */
	char		answer[4096];
	size_t		length;
} Caller;

static inline double
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static size_t
keep_answer(char *data, size_t one, size_t length, void *argument)
{
	Caller	   *caller = argument;
	size_t		room = sizeof(caller->answer) - 1 - caller->length;
	size_t		kept = length < room ? length : room;

	(void) one;
	memcpy(caller->answer + caller->length, data, kept);
	caller->length += kept;
	caller->answer[caller->length] = '\0';
	return length;
}

static inline void
caller_open(Caller *caller, const char *socket)
{
	caller->easy = curl_easy_init();
	curl_easy_setopt(caller->easy, CURLOPT_UNIX_SOCKET_PATH, socket);
	curl_easy_setopt(caller->easy, CURLOPT_WRITEFUNCTION, keep_answer);
	curl_easy_setopt(caller->easy, CURLOPT_WRITEDATA, caller);
	curl_easy_setopt(caller->easy, CURLOPT_NOSIGNAL, 1L);
}

/* A call that has to succeed. */
static inline void
call(Caller *caller, const char *method, const char *path, const char *body)
{
	char		url[512];
	long		status = 0;
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	CURLcode	code;

	snprintf(url, sizeof(url), "http://localhost/v1.41%s", path);
	caller->length = 0;
	caller->answer[0] = '\0';
	curl_easy_setopt(caller->easy, CURLOPT_URL, url);
	curl_easy_setopt(caller->easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(caller->easy, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(caller->easy, CURLOPT_POSTFIELDS, body != NULL ? body : "");
	code = curl_easy_perform(caller->easy);
	curl_easy_getinfo(caller->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	if (code == CURLE_OK && status >= 200 && status <= 299)
		return;
	fprintf(stderr, "%s %s: %s, status %ld: %s\n", method, path,
			curl_easy_strerror(code), status, caller->answer);
	exit(1);
}

/* Create; the id is put into id[65]. */
static inline void
create(Caller *caller, const char *name, const char *body, char *id)
{
	char		path[256];
	const char *found;

	snprintf(path, sizeof(path), "/containers/create?name=%s", name);
	call(caller, "POST", path, body);
	found = strstr(caller->answer, "\"Id\":\"");
	if (found == NULL || strlen(found) < 70)
	{
		fprintf(stderr, "no id in: %s\n", caller->answer);
		exit(1);
	}
	memcpy(id, found + 6, 64);
	id[64] = '\0';
}

static inline void
tell(Caller *caller, const char *method, const char *id, const char *what)
{
	char		path[128];

	snprintf(path, sizeof(path), "/containers/%s%s", id, what);
	call(caller, method, path, NULL);
}

#endif							/* BENCH_CALL_H */
