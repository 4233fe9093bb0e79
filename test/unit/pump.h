/*
 * pump.h
 *		Waiting for an engine's replies as the worker does.
 */
#ifndef HAFSTACK_PUMP_H
#define HAFSTACK_PUMP_H

#include "engine.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static Engine *engine;

static inline long
clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline EngineReply *
wait_reply(long limit_ms)
{
	long		end = clock_ms() + limit_ms;

	for (;;)
	{
		EngineReply *reply = engine_next(engine);
		struct pollfd descriptor = {.fd = engine_descriptor(engine), .events = POLLIN};
		long		wait = engine_wait_ms(engine);
		long		left = end - clock_ms();

		if (reply != NULL)
			return reply;
		if (left <= 0)
			return NULL;
		poll(&descriptor, 1, (int) (wait < 0 || wait > left ? left : wait));
		engine_run(engine);
	}
}

/* The reply to a call that has just been made. */
static inline EngineReply *
reply_to(bool sent)
{
	EngineReply *reply = sent ? wait_reply(60000) : NULL;

	if (reply == NULL)
		abort();
	return reply;
}

static inline const char *
outcome_name(EngineOutcome outcome)
{
	static const char *const names[] = {
		"ok", "absent", "conflict", "refused", "unreachable", "lost"
	};

	return names[outcome];
}

static inline void
open_engine(const char *host, const char *certificates, const char *stack_id, int timeout_ms)
{
	EngineConfig config = {
		.docker_host = host, .cert_path = certificates, .max_requests = 4,
		.timeout_ms = timeout_ms, .stack_id = stack_id
	};
	char		error[256];

	engine = engine_open(&config, error, sizeof(error));
	if (engine == NULL)
	{
		printf("# %s\n", error);
		abort();
	}
}

#endif							/* HAFSTACK_PUMP_H */
