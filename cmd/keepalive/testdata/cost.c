// Opens connections to itself, and writes the median time in nanoseconds of socket, connect, both
// together, and accept.

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 4000, BATCH = 100 };

static long times[4][ROUNDS];
static struct sockaddr_in address = {.sin_family = AF_INET};
static struct linger reset = {1, 0}; // close does not use up the port

static long now() {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void check(int failed, const char *what) {
	if (failed) {
		perror(what);
		exit(1);
	}
}

static void dial(int l) {
	for (int i = 0; i < ROUNDS; i++) {
		long start = now();
		int c = socket(AF_INET, SOCK_STREAM, 0);
		long made = now();
		check(connect(c, (struct sockaddr *)&address, sizeof address), "connect");
		long connected = now();
		times[0][i] = made - start;
		times[1][i] = connected - made;
		times[2][i] = connected - start;
		setsockopt(c, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
		close(accept(l, NULL, NULL));
		close(c);
	}
}

// accept_all makes its sockets before, because that takes other memory out of the processor's cache.
static void accept_all(int l) {
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int c[BATCH], s[BATCH];
	for (int j = 0; j < BATCH; j++) {
		c[j] = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(c[j], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	}
	for (int i = 0; i < ROUNDS; i += BATCH) {
		for (int j = 0; j < BATCH; j++)
			check(connect(c[j], (struct sockaddr *)&address, sizeof address), "connect");
		for (int j = 0; j < BATCH; j++) {
			long start = now();
			s[j] = accept(l, NULL, NULL);
			times[3][i + j] = now() - start;
			check(s[j] < 0, "accept");
		}
		for (int j = 0; j < BATCH; j++) {
			check(connect(c[j], &none, sizeof none), "disconnect");
			close(s[j]);
		}
	}
}

static int compare(const void *a, const void *b) { return *(long *)a < *(long *)b ? -1 : 1; }

int main() {
	socklen_t size = sizeof address;
	int l = socket(AF_INET, SOCK_STREAM, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check(bind(l, (struct sockaddr *)&address, size), "bind");
	check(listen(l, BATCH), "listen");
	check(getsockname(l, (struct sockaddr *)&address, &size), "getsockname");
	dial(l);
	accept_all(l);
	for (int i = 0; i < 4; i++) {
		qsort(times[i], ROUNDS, sizeof(long), compare);
		printf("%ld ", times[i][ROUNDS / 2]);
	}
	return 0;
}
