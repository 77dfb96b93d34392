/*
 * map_fork.c - children that look at mappings made before the fork, while their
 * parent unmaps them, or is gone.  Prints what they see.
 *
 *	map_fork FILE [OTHER-FILE]
 */
#include "test/programs/map_ops.h"

#include <pthread.h>
#include <spawn.h>

extern char **environ;

static char *whole, *shared, *own, *touched;

static void map_all(void)
{
	size_t i;

	whole = map(0, size, PROT_READ, MAP_PRIVATE);
	shared = map(0, size, PROT_READ, MAP_SHARED);
	own = map(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	touched = map(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	for (i = 0; i < size; i += 61 * PAGE)
		touched[i + 1] ^= 0x77;
}

static void unmap_all(void)
{
	munmap(whole, size);
	munmap(shared, size);
	munmap(own, size);
	munmap(touched, size);
}

static void show_all(const char *who)
{
	printf("%s %lx %lx %lx %lx\n", who, (long)sum(whole, size), (long)sum(shared, size),
	       (long)sum(own, size), (long)sum(touched, size));
	fflush(stdout);
}

static int wait_for(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return status;
}

/* The child looks when the parent has closed its end: everything is unmapped there by then. */
static void parent_unmaps(void)
{
	int gate[2];
	char c;
	pid_t pid;

	map_all();
	if (pipe(gate) != 0)
		exit(1);
	pid = fork();
	if (pid == 0) {
		close(gate[1]);
		if (read(gate[0], &c, 1) != 0)
			_exit(1);
		stir();
		show_all("child of one that unmapped");
		_exit(0);
	}
	unmap_all();
	close(gate[0]);
	stir();
	close(gate[1]);
	printf("status %d\n", wait_for(pid));
}

/* A grandchild whose parent is gone, and which closes what it can. */
static void orphan(void)
{
	int gate[2], done[2];
	char c;
	pid_t pid;

	map_all();
	if (pipe(gate) != 0 || pipe(done) != 0)
		exit(1);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		own[5] = 9;
		if (fork() != 0)
			_exit(0);
		close(gate[1]);
		close(done[0]);
		if (read(gate[0], &c, 1) != 0)
			_exit(1);
		stir();
		show_all("orphan");
		_exit(0);
	}
	close(done[1]);
	printf("status %d\n", wait_for(pid));
	fflush(stdout);
	unmap_all();
	stir();
	close(gate[1]);
	if (read(done[0], &c, 1) != 0)
		exit(1);
	close(gate[0]);
	close(done[0]);
}

/* What a child writes is its own, and the other way round. */
static void writes_apart(void)
{
	int gate[2];
	char c;
	pid_t pid;

	map_all();
	if (pipe(gate) != 0)
		exit(1);
	pid = fork();
	if (pid == 0) {
		close(gate[1]);
		own[70 * PAGE] = 1;
		if (read(gate[0], &c, 1) != 0)
			_exit(1);
		show_all("child");
		printf("%d %d %d\n", own[70 * PAGE], own[71 * PAGE], touched[1]);
		printf("dontneed %s", word(madvise(touched, size, MADV_DONTNEED)));
		printf(" %lx\n", (long)sum(touched, size));
		fflush(stdout);
		_exit(0);
	}
	close(gate[0]);
	own[71 * PAGE] = 2;
	touched[1] = 3;
	show_all("parent");
	close(gate[1]);
	printf("status %d\n", wait_for(pid));
	printf("%d %d %d\n", own[70 * PAGE], own[71 * PAGE], touched[1]);
	unmap_all();
}

static void advised(void)
{
	pid_t pid;

	map_all();
	madvise(whole, size, MADV_DONTFORK);
	madvise(shared, size, MADV_DONTFORK);
	madvise(shared, size / 2 & ~(PAGE - 1), MADV_DOFORK);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		printf("kept from the child %d %d, and not %d\n", byte_at(whole),
		       byte_at(shared + size - 1), byte_at(shared));
		fflush(stdout);
		_exit(0);
	}
	printf("status %d\n", wait_for(pid));
	show_all("parent");
	unmap_all();
}

static void *look(void *arg)
{
	char **where = arg;
	uint64_t first = sum(*where, size);
	int i;

	for (i = 0; i < 3; i++)
		if (sum(*where, size) != first)
			return arg;
	return NULL;
}

/* Threads that look while others fork children that look. */
static void many(void)
{
	pthread_t threads[3];
	char **views[] = { &whole, &shared, &own };
	void *wrong;
	pid_t pid;
	int i;

	map_all();
	fflush(stdout);
	for (i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, look, views[i]);
	for (i = 0; i < 5; i++) {
		pid = fork();
		if (pid == 0)
			_exit(sum(whole + size / 2, size / 2) != sum(shared + size / 2, size / 2));
		printf("status %d\n", wait_for(pid));
	}
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], &wrong);
		printf("thread %d\n", wrong != NULL);
	}
	unmap_all();
}

/* A child that runs another program at once, and one that borrows the memory. */
static void programs(void)
{
	char *argv[] = { (char *)"true", NULL };
	pid_t pid;

	map_all();
	fflush(stdout);
	if (posix_spawnp(&pid, "true", NULL, NULL, argv, environ) == 0)
		printf("spawned %d\n", wait_for(pid));
	pid = vfork();
	if (pid == 0)
		_exit(whole[size - 1] != shared[size - 1]);
	printf("vfork %d\n", wait_for(pid));
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execvp("true", argv);
		_exit(1);
	}
	printf("exec %d\n", wait_for(pid));
	show_all("after");
	unmap_all();
}

int main(int argc, char **argv)
{
	start(argc, argv);
	parent_unmaps();
	orphan();
	writes_apart();
	advised();
	many();
	programs();
	return 0;
}
