/*
 * chain.c
 *		The floor of the reaction: containers that are there already, each
 *		started when /wait says that the one before has ended.
 *
 *	 chain SOCKET COUNT FOLDER	FOLDER holds `mark`, and its file `marks`
 */
#include "call.h"

int
main(int argc, char **argv)
{
	Caller		caller = {0};
	int			count = argc == 4 ? atoi(argv[2]) : 0;
	char		(*ids)[65] = calloc(count + 1, sizeof(*ids));
	char		body[1024];

	if (count < 1 || ids == NULL)
		return 2;
	snprintf(body, sizeof(body), "{\"Image\":\"hafstack-test/busybox\",\"Cmd\":[\"/bench/mark\",\"/bench/marks\"],"
			 "\"Labels\":{\"bench\":\"\"},\"HostConfig\":{\"NetworkMode\":\"host\",\"Binds\":[\"%s:/bench\"]}}",
			 argv[3]);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	caller_open(&caller, argv[1]);
	for (int i = 0; i < count; i++)
	{
		char		name[64];

		snprintf(name, sizeof(name), "chain-%d", i);
		create(&caller, name, body, ids[i]);
	}
	for (int i = 0; i < count; i++)
	{
		tell(&caller, "POST", ids[i], "/start");
		tell(&caller, "POST", ids[i], "/wait");
	}
	free(ids);
	return 0;
}
