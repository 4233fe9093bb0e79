/*
 * doc.h
 *		JSON that is read, changed and written again: what spec.c and clone.c share.
 *
 * Room: cJSON made to do as we need it; no server header, nothing of Docker.
 */
#ifndef HAFSTACK_DOC_H
#define HAFSTACK_DOC_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Parse a whole text of this length, which a NUL follows; NULL if it is no JSON.
 * Every number stays as it was written: it is cJSON_Raw, its text in valuestring.
 */
extern cJSON *doc_parse(const char *text, size_t length);

/* The member of an object, or NULL; the string that it is, or NULL. */
extern cJSON *doc_get(const cJSON *object, const char *key);
extern const char *doc_text(const cJSON *object, const char *key);

/* Put item at key in place of what is there.  False, for want of memory, if item
 * is NULL or cannot be put. */
extern bool doc_put(cJSON *object, const char *key, cJSON *item);

/* Add a string to an array of strings unless it is there. */
extern bool doc_add_text(cJSON *array, const char *text);

#endif							/* HAFSTACK_DOC_H */
