/*
 * event.h
 *		One row of hafstack.event and one NOTIFY, in the current transaction.
 *
 * Room: the only place that writes events.  Needs an SPI connection.
 */
#ifndef HAFSTACK_EVENT_H
#define HAFSTACK_EVENT_H

#include "postgres.h"

/*
 * kind: phase, haf, container, failure, retry, operator, engine or warning;
 * app NULL: the stack or HAF; from, to, detail may be NULL.  detail stays in
 * the table and is not notified.
 */
extern void event_write(const char *kind, const char *app, const char *from,
						const char *to, const char *detail);

#endif							/* HAFSTACK_EVENT_H */
