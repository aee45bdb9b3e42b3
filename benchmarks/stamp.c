/* A job that does one thing: it writes down when it began (CLOCK_MONOTONIC, nanoseconds). */
#include <stdio.h>
#include <time.h>

int main(int argc, char **argv)
{
	struct timespec now;
	FILE *file;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (argc != 2 || !(file = fopen(argv[1], "w")))
		return 1;
	fprintf(file, "%lld%09ld\n", (long long)now.tv_sec, now.tv_nsec);
	return fclose(file) != 0;
}
