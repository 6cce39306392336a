// A ptrace for User-Mode Linux. Its kernels before 6.16 set a processor's extended state with a buffer of fixed size, and Linux refuses any
// size but its own, which is larger where the processor has AMX. This ptrace sets what they have, and leaves the rest as it is.
// It is built without libc, since it runs with those of several releases.
#include <sys/uio.h>

enum { PEEKUSER = 3, GETREGSET = 0x4204, SETREGSET = 0x4205, XSTATE = 0x202 };

int *__errno_location(void);

static long call(long request, long pid, long addr, void *data)
{
	long result;
	register void *r10 __asm__("r10") = data;
	__asm__ volatile("syscall" : "=a"(result) : "a"(101), "D"(request), "S"(pid), "d"(addr), "r"(r10) : "rcx", "r11", "memory");
	return result;
}

long ptrace(long request, long pid, long addr, void *data)
{
	static char state[65536];
	struct iovec *given = data, all = {state, sizeof state};
	long word, result;

	if (request == SETREGSET && addr == XSTATE && call(GETREGSET, pid, addr, &all) == 0 && given->iov_len < all.iov_len) {
		for (unsigned long i = 0; i < given->iov_len; i++)
			state[i] = ((volatile char *)given->iov_base)[i];
		data = &all;
	}
	result = call(request, pid, addr, request <= PEEKUSER && request > 0 ? &word : data);
	if (result < 0) {
		*__errno_location() = -result;
		return -1;
	}
	return request <= PEEKUSER && request > 0 ? word : result;
}
