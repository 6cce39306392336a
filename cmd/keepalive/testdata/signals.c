// Makes 20,000 sockets while a signal arrives every 50 microseconds. Each one must get the descriptor
// that is free.

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static volatile int signals;

static void handle(int signal) { signals++; }

int main() {
	struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
	struct itimerval timer = {{0, 50}, {0, 50}};
	int expected = dup(0);
	close(expected);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (int i = 0; i < 20000; i++) {
		int s = socket(AF_INET, SOCK_STREAM, 0);
		if (s != expected) {
			perror("socket");
			printf("%d sockets, %d signals: %d instead of %d\n", i, signals, s, expected);
			return 1;
		}
		close(s);
	}
	if (signals < 1000) {
		printf("only %d signals\n", signals);
		return 1;
	}
	return 0;
}
