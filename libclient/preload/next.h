/*
 * next.h - finds the function that our hook of the same name stands before:
 * the next definition in the program's libraries, usually libc's.
 *
 * It reads the loader's own list of objects and their ELF hash tables.  No
 * dlsym: a dlsym that fails calls malloc, which may be the very allocator whose
 * start-up called the hook.  No lock, no allocation, no libc call; any thread,
 * any time after the loader has relocated us.
 */
#ifndef LIBCLIENT_PRELOAD_NEXT_H
#define LIBCLIENT_PRELOAD_NEXT_H

#include <stdbool.h>

/* Remember which objects the program started with: later ones may be unmapped under our feet. */
void next_start(void);

/* The default version of `name` behind us, or NULL. */
void *next_find(const char *name);

/* The same among all libraries that are there by now. */
void *next_find_late(const char *name);

/* This library's own file, as the loader names it; "" when that cannot be told. */
const char *next_own_name(void);

/* Is the program's libc glibc (and not musl)? */
bool next_is_glibc(void);

/* Fills *slot once; concurrent callers find the same address. */
static inline void *next_cached(void **slot, const char *name)
{
	void *f = __atomic_load_n(slot, __ATOMIC_RELAXED);

	if (__builtin_expect(f == 0, 0)) {
		f = next_find(name);
		__atomic_store_n(slot, f, __ATOMIC_RELAXED);
	}
	return f;
}

/* The next definition of a function whose type is that of `like`; NULL when libc has none. */
#define NEXT_LIKE(name, like)                                                                      \
	({                                                                                         \
		static void *next_slot;                                                            \
		(__typeof(&like))next_cached(&next_slot, #name);                                   \
	})
#define NEXT(name) NEXT_LIKE(name, name)

/*
 * The same, also in libraries that came after the start (librt, libdl): who calls
 * our hook depends on such a library, so it stays.
 */
#define NEXT_LATE(name)                                                                            \
	({                                                                                         \
		__typeof(&name) next_late = NEXT(name);                                            \
		next_late != NULL ? next_late : (__typeof(&name))next_find_late(#name);            \
	})

#endif
