/*
 * tap.h
 *		What a unit test needs: ok() lines that prove(1) understands.
 */
#ifndef HAFSTACK_TAP_H
#define HAFSTACK_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int	tap_count;
static int	tap_failed;

__attribute__((format(printf, 2, 3)))
static inline bool
ok(bool good, const char *format,...)
{
	va_list		arguments;
	char		name[300];

	va_start(arguments, format);
	vsnprintf(name, sizeof(name), format, arguments);
	va_end(arguments);
	for (char *p = name; *p != '\0'; p++)
		if (*p == '\n' || *p == '#')
			*p = ' ';
	printf("%sok %d - %s\n", good ? "" : "not ", ++tap_count, name);
	fflush(stdout);
	tap_failed += !good;
	return good;
}

__attribute__((format(printf, 1, 2)))
static inline void
diag(const char *format,...)
{
	va_list		arguments;

	printf("#   ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	fflush(stdout);
}

static inline bool
is_text(const char *got, const char *wanted, const char *name)
{
	bool		good = got != NULL && strcmp(got, wanted) == 0;

	ok(good, "%s", name);
	if (!good)
	{
		diag("got:    %s", got != NULL ? got : "(null)");
		diag("wanted: %s", wanted);
	}
	return good;
}

static inline bool
is_int(long long got, long long wanted, const char *name)
{
	bool		good = got == wanted;

	ok(good, "%s", name);
	if (!good)
		diag("got %lld, wanted %lld", got, wanted);
	return good;
}

static inline bool
has_text(const char *got, const char *part, const char *name)
{
	bool		good = got != NULL && strstr(got, part) != NULL;

	ok(good, "%s", name);
	if (!good)
	{
		diag("got:     %s", got != NULL ? got : "(null)");
		diag("without: %s", part);
	}
	return good;
}

static inline int
tap_end(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed > 0;
}

#endif							/* HAFSTACK_TAP_H */
