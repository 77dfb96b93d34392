/*
 * verdict.c - are the two results the same?  And memory that may not be there.
 */
#include "test/refmodel/refmodel.h"

#include <execinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct board *board;
void (*on_differ)(void);

const char *error_name(int error)
{
	const char *name = error == 0 ? "success" : strerrorname_np(error);

	return name != NULL ? name : "an unknown errno";
}

/* The first who comes here speaks; the process ends with 3, in a child too. */
void differ(struct actor *a, const char *format, ...)
{
	char what[2048], step[256];
	va_list ap;

	if (__atomic_exchange_n(&board->claimed, 1, __ATOMIC_ACQ_REL) != 0) {
		for (;;) /* the other one's exit ends us, unless it is another process */
			if (__atomic_load_n(&board->differs, __ATOMIC_ACQUIRE) != 0)
				_exit(3);
	}
	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	step_text(a->step, step, sizeof(step));
	snprintf(board->words, sizeof(board->words), "actor %u, operation %u%s: \"%s\": %s",
		 a->number, a->step_number, a->depth > 0 ? ", in a child" : "", step, what);
	board->differs_at = a->step_number;
	__atomic_store_n(&board->differs, 1 + a->number, __ATOMIC_RELEASE);
	if (on_differ != NULL)
		on_differ();
	_exit(3);
}

bool store_may(int error)
{
	unsigned i;

	for (i = 0; i < world.nr_allowed; i++)
		if (world.allowed[i] == error)
			return true;
	return false;
}

enum verdict judge(struct actor *a, const char *what, struct outcome p, struct outcome m,
		   unsigned flags)
{
	if (p.ret == -1 && m.ret == -1) {
		if (p.err != m.err && (flags & JUDGE_ANY_ERRNO) == 0)
			differ(a, "%s: %s on the plain file, %s below MODEL_DIR", what,
			       error_name(p.err), error_name(m.err));
		return BOTH_FAILED;
	}
	if (m.ret == -1 && store_may(m.err)) {
		__atomic_fetch_add(&board->store_errors, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&board->error_by_op[a->step->op - op_table], 1,
				   __ATOMIC_RELAXED);
		return STORE_FAILED;
	}
	if (p.ret == -1 || m.ret == -1)
		differ(a, "%s: %s on the plain file, %s below MODEL_DIR", what, error_name(p.err),
		       error_name(m.err));
	if ((flags & JUDGE_ANY_RESULT) == 0 && p.ret != m.ret)
		differ(a, "%s: %ld on the plain file, %ld below MODEL_DIR", what, p.ret, m.ret);
	if (m.touched && !p.touched)
		differ(a, "%s: errno was changed by a success below MODEL_DIR", what);
	return BOTH_DID;
}

void judge_fails(struct actor *a, const char *what, struct outcome m, const int *errors)
{
	const int *e;

	for (e = errors; *e != 0; e++)
		if (m.ret == -1 && m.err == *e)
			return;
	differ(a, "%s: %s below MODEL_DIR, not %s", what,
	       m.ret == -1 ? error_name(m.err) : "success", error_name(errors[0]));
}

void same_number(struct actor *a, const char *what, long long p, long long m)
{
	if (p != m)
		differ(a, "%s: %lld on the plain file, %lld below MODEL_DIR", what, p, m);
}

void same_bytes(struct actor *a, const char *what, const void *p, const void *m, size_t len)
{
	const unsigned char *x = p, *y = m;
	size_t i, n = 0, zeros = 0;

	if (memcmp(p, m, len) == 0)
		return;
	for (i = 0; x[i] == y[i];)
		i++;
	for (; i + n < len && x[i + n] != y[i + n]; n++)
		zeros += y[i + n] == 0;
	differ(a, "%s: %zu bytes from the %zuth of %zu differ (%02x, not %02x); %zu of them zeros",
	       what, n, i, len, y[i], x[i], zeros);
}

/* ---- memory that may not be there ---------------------------------------------------- */

__thread sigjmp_buf touch_jump;
__thread volatile sig_atomic_t touch_armed;

static void on_fault(int number, siginfo_t *si, void *context)
{
	void *frames[32];

	(void)context;
	if (touch_armed)
		siglongjmp(touch_jump, number);
	dprintf(2, "refmodel: signal %d at %p, not by what a test touches:\n", number, si->si_addr);
	backtrace_symbols_fd(frames, backtrace(frames, LENGTH(frames)), 2);
	signal(number, SIG_DFL); /* comes again when we return, and ends us */
}

void touch_start(void)
{
	struct sigaction act = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGBUS, &act, NULL);
	sigaction(SIGSEGV, &act, NULL);
}
