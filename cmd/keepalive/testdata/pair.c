// Opens a listener and a connection to it, tries to turn keepalive off on all three sockets, writes
// "ready" and waits for the end of its input.
//
// With -DSOCKETCALL it makes its system calls with socketcall(2), which only 32-bit programs have.
// With -DFASTOPEN it connects with sendto(2). With -DNOT_DUMPABLE only root may look into it, and it
// turns keepalive on. With -DDOUBLE_FORK, a child of a child does it, in a thread.

#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined SOCKETCALL
#define SOCKET(f, t, p) syscall(SYS_socketcall, 1, (long[]){f, t, p})
#define SETSOCKOPT(s, l, o, v, n) syscall(SYS_socketcall, 14, (long[]){s, l, o, (long)v, n})
#else
#define SOCKET socket
#define SETSOCKOPT setsockopt
#endif

static void check(int result, const char *what) {
	if (result < 0) {
		perror(what);
		_exit(1);
	}
}

static void set(int s, int level, int opt, int value) {
	check(SETSOCKOPT(s, level, opt, &value, sizeof value), "setsockopt");
}

static void set_all(int s) {
#ifdef NOT_DUMPABLE
	set(s, SOL_SOCKET, SO_KEEPALIVE, 1);
#else
	set(s, SOL_SOCKET, SO_KEEPALIVE, 0);
#endif
	set(s, IPPROTO_TCP, TCP_KEEPIDLE, 999);
	set(s, IPPROTO_TCP, TCP_KEEPINTVL, 99);
	set(s, IPPROTO_TCP, TCP_KEEPCNT, 9);
	set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 9999);
	set(s, IPPROTO_TCP, TCP_NODELAY, 1); // has its effect
}

static void *pair(void *unused) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof a;
	int l, c, s;
	check(l = SOCKET(AF_INET, SOCK_STREAM, 0), "socket");
	check(bind(l, (struct sockaddr *)&a, size), "bind");
	check(listen(l, 5), "listen");
	check(getsockname(l, (struct sockaddr *)&a, &size), "getsockname");
	check(c = SOCKET(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP), "socket");
#ifdef FASTOPEN
	check(sendto(c, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&a, size), "sendto");
#else
	check(connect(c, (struct sockaddr *)&a, size), "connect");
#endif
	check(s = accept(l, NULL, NULL), "accept");
	set_all(l);
	set_all(c);
	set_all(s);
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return NULL;
}

int main() {
#ifdef NOT_DUMPABLE
	check(prctl(PR_SET_DUMPABLE, 0), "prctl");
#endif
#ifdef DOUBLE_FORK
	int status;
	if (fork() != 0)
		return wait(&status) < 0 ? 1 : status != 0;
	if (fork() != 0)
		return wait(&status) < 0 ? 1 : status != 0;
	pthread_t thread;
	check(-pthread_create(&thread, NULL, pair, NULL), "pthread_create");
	check(-pthread_join(thread, NULL), "pthread_join");
#else
	pair(NULL);
#endif
	return 0;
}
