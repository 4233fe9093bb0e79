/*
 * mark.c
 *		The job of the reaction benchmark: runs for a fifth of a second, in which
 *		its successor can be created, then appends the time of its end to a file.
 *
 * Linked statically, for a container that has no C library.
 */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	char		line[32];
	struct timespec now;
	int			file = argc == 2 ? open(argv[1], O_WRONLY | O_APPEND | O_CREAT, 0666) : -1;
	int			length;

	if (file < 0)
		return 2;
	usleep(200000);
	clock_gettime(CLOCK_REALTIME, &now);
	length = snprintf(line, sizeof(line), "%lld%09ld\n", (long long) now.tv_sec, now.tv_nsec);
	_exit(write(file, line, length) == length ? 0 : 1);
}
