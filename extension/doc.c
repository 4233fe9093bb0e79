/*
 * doc.c
 *		Numbers that stay as they were written, and the like.
 *
 * Room: see doc.h.
 */
#include "doc.h"

#include <ctype.h>
#include <string.h>

/* Length of the JSON number at text; 0 if there is none that is well-formed. */
static size_t
number_length(const char *text)
{
	const char *p = text;
	size_t		whole;

	if (*p == '-')
		p++;
	whole = strspn(p, "0123456789");
	if (whole == 0 || (whole > 1 && *p == '0'))
		return 0;
	p += whole;
	if (*p == '.')
	{
		size_t		fraction = strspn(p + 1, "0123456789");

		if (fraction == 0)
			return 0;
		p += 1 + fraction;
	}
	if (*p == 'e' || *p == 'E')
	{
		p += p[1] == '+' || p[1] == '-' ? 2 : 1;
		if (!isdigit((unsigned char) *p))
			return 0;
		p += strspn(p, "0123456789");
	}
	return (size_t) (p - text);
}

/* The next number of a JSON text that has been parsed before. */
static const char *
next_number(const char *text)
{
	while (*text != '\0' && *text != '-' && !isdigit((unsigned char) *text))
	{
		if (*text++ != '"')
			continue;
		while (*text != '"')
			text += *text == '\\' ? 2 : 1;
		text++;
	}
	return text;
}

/*
 * Keep every number as it was written.  cJSON makes a double of it and would
 * print 1e+15, which the Engine refuses where it wants an integer.  The numbers
 * of a parsed document come in the order of its text.
 */
static bool
keep_numbers(cJSON *item, const char **text)
{
	cJSON	   *child;

	if (cJSON_IsNumber(item))
	{
		const char *number = next_number(*text);
		size_t		length = number_length(number);

		item->valuestring = length > 0 ? strndup(number, length) : NULL;
		if (item->valuestring == NULL)
			return false;
		item->type = cJSON_Raw;
		*text = number + length;
		return true;
	}
	cJSON_ArrayForEach(child, item)
	{
		if (!keep_numbers(child, text))
			return false;
	}
	return true;
}

cJSON *
doc_parse(const char *text, size_t length)
{
	cJSON	   *json = cJSON_ParseWithLengthOpts(text, length + 1, NULL, true);

	if (json != NULL && keep_numbers(json, &text))
		return json;
	cJSON_Delete(json);
	return NULL;
}

cJSON *
doc_get(const cJSON *object, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(object, key);
}

const char *
doc_text(const cJSON *object, const char *key)
{
	return cJSON_GetStringValue(doc_get(object, key));
}

bool
doc_put(cJSON *object, const char *key, cJSON *item)
{
	cJSON_DeleteItemFromObjectCaseSensitive(object, key);
	if (item != NULL && cJSON_AddItemToObject(object, key, item))
		return true;
	cJSON_Delete(item);
	return false;
}

bool
doc_add_text(cJSON *array, const char *text)
{
	const cJSON *item;
	cJSON	   *added;

	cJSON_ArrayForEach(item, array)
	{
		if (strcmp(item->valuestring, text) == 0)
			return true;
	}
	added = cJSON_CreateString(text);
	if (added != NULL && cJSON_AddItemToArray(array, added))
		return true;
	cJSON_Delete(added);
	return false;
}
