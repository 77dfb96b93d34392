/*
 * map_deny.c - runs a program under a seccomp filter that refuses userfaultfd, as
 * containers' usual profiles do, or only the kind that serves the kernel's own accesses.
 *
 *	map_deny all|kernel PROGRAM [ARGUMENT...]
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define USER_MODE_ONLY 1
#define IOC_NEW	       0xaa00 /* of /dev/userfaultfd: another way to the same */

#define LOAD(field)    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define REFUSE	       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
#define ALLOW	       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static int install(int user_mode_may)
{
	struct sock_filter code[] = {
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_userfaultfd, 0, 3),
		LOAD(args[0]),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, user_mode_may ? USER_MODE_ONLY : 0, 4, 0),
		REFUSE,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_ioctl, 0, 2),
		LOAD(args[1]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IOC_NEW, 1, 0),
		ALLOW,
		REFUSE,
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

int main(int argc, char **argv)
{
	if (argc < 3 || (strcmp(argv[1], "all") != 0 && strcmp(argv[1], "kernel") != 0)) {
		fprintf(stderr, "usage: map_deny all|kernel PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	if (install(strcmp(argv[1], "kernel") == 0) != 0) {
		perror("map_deny: seccomp");
		return 77;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
