// Opens connections to itself, and writes the median time in nanoseconds of the calls for one end, or
// of both calls together: socket, connect, socket and connect, accept.

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 4000 };

static long times[4][ROUNDS];

static long now() {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static int compare(const void *a, const void *b) { return *(long *)a < *(long *)b ? -1 : 1; }

int main() {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct linger linger = {1, 0}; // does not use up the ports
	socklen_t size = sizeof a;
	int l = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(l, (struct sockaddr *)&a, size) || listen(l, 5) || getsockname(l, (struct sockaddr *)&a, &size))
		return 1;
	for (int i = 0; i < ROUNDS; i++) {
		long start = now();
		int c = socket(AF_INET, SOCK_STREAM, 0);
		long made = now();
		int failed = connect(c, (struct sockaddr *)&a, size);
		long connected = now();
		int s = accept(l, NULL, NULL);
		long accepted = now();
		if (failed || s < 0)
			return 1;
		times[0][i] = made - start;
		times[1][i] = connected - made;
		times[2][i] = connected - start;
		times[3][i] = accepted - connected;
		setsockopt(c, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
		close(c);
		close(s);
	}
	for (int i = 0; i < 4; i++) {
		qsort(times[i], ROUNDS, sizeof(long), compare);
		printf("%ld ", times[i][ROUNDS / 2]);
	}
	return 0;
}
