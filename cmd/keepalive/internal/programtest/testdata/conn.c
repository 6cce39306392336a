/* conn ADDRESS PORT: dials and accepts a connection, chooses other settings for both, and waits for the end of stdin. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef RAW
#define socket(...) syscall(SYS_socket, __VA_ARGS__)
#define connect(...) syscall(SYS_connect, __VA_ARGS__)
#define listen(...) syscall(SYS_listen, __VA_ARGS__)
#define accept(s, a, n) syscall(SYS_accept, s, a, n)
#define setsockopt(...) syscall(SYS_setsockopt, __VA_ARGS__)
#endif

static long check(const char *what, long result)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static void set(int fd, int level, int option, int value)
{
	check("setsockopt", setsockopt(fd, level, option, &value, sizeof value));
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
	socklen_t size = sizeof address;
	inet_pton(AF_INET, argv[1], &address.sin_addr);
	int dialed = check("socket", socket(AF_INET, SOCK_STREAM, 0));
	set(dialed, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(dialed, IPPROTO_TCP, TCP_KEEPIDLE, 99);
	check("connect", connect(dialed, (struct sockaddr *)&address, size));

	int listener = check("socket", socket(AF_INET, SOCK_STREAM, 0));
	address.sin_port = 0;
	check("bind", bind(listener, (struct sockaddr *)&address, size));
	check("listen", listen(listener, 1));
	check("getsockname", getsockname(listener, (struct sockaddr *)&address, &size));
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	int accepted = check("accept", accept(listener, NULL, NULL));

	set(dialed, IPPROTO_TCP, TCP_KEEPINTVL, 33);
	set(dialed, SOL_SOCKET, SO_KEEPALIVE, 0);
	set(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT, 12345);
	set(accepted, SOL_SOCKET, SO_KEEPALIVE, 0);
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
