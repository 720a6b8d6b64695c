/*
 * Runs a program several times, one after the other, each time with the same pid: clone3 can ask for one
 * (set_tid, Linux 5.5). Usage: pid-reuse PID TIMES PROGRAM ARGS...      (PID 0: any)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(pid_t wanted)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	if (wanted) {
		args.set_tid = (uintptr_t)&wanted;
		args.set_tid_size = 1;
	}
	return syscall(SYS_clone3, &args, sizeof(args));
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	pid_t pid = atoi(argv[1]);
	for (int i = 0; i < atoi(argv[2]); i++) {
		pid_t child = start(pid);
		if (child < 0) {
			perror("clone3");
			return 3;
		}
		if (child == 0) {
			execv(argv[3], argv + 3);
			perror(argv[3]);
			_exit(4);
		}
		pid = child;
		int status;
		if (waitpid(child, &status, 0) < 0 || status != 0)
			return 5;
	}
	return 0;
}
