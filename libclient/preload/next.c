#include "libclient/preload/next.h"

#include "libclient/preload/preload.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>

/* Both are weak: ld.so of glibc has the first, every libc since 2.16 the second. */
extern struct r_debug _r_debug __attribute__((weak));
extern unsigned long getauxval(unsigned long type) LIBC_WEAK;
extern const char *gnu_get_libc_version(void) __attribute__((weak));
extern ElfW(Dyn) _DYNAMIC[] __attribute__((visibility("hidden")));

static const struct link_map *last_object START_DATA; /* none after it is looked at */

struct tables {
	const ElfW(Sym) * symbols;
	const char *strings;
	const uint32_t *gnu_hash;
	const uint32_t *sysv_hash;
	const ElfW(Half) * versions;
};

static bool same(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* Through the program's own headers, where ld.so leaves the address of its list (DT_DEBUG). */
static const struct link_map *objects_by_headers(void)
{
	const ElfW(Phdr) * ph;
	const ElfW(Dyn) *dyn = NULL;
	unsigned long nr, i, base = 0;

	if (getauxval == NULL)
		return NULL;
	ph = (const ElfW(Phdr) *)getauxval(AT_PHDR);
	nr = getauxval(AT_PHNUM);
	if (ph == NULL)
		return NULL;
	for (i = 0; i < nr; i++)
		if (ph[i].p_type == PT_PHDR)
			base = (unsigned long)ph - ph[i].p_vaddr;
	for (i = 0; i < nr; i++)
		if (ph[i].p_type == PT_DYNAMIC)
			dyn = (const ElfW(Dyn) *)(base + ph[i].p_vaddr);
	for (; dyn != NULL && dyn->d_tag != DT_NULL; dyn++)
		if (dyn->d_tag == DT_DEBUG && dyn->d_un.d_ptr != 0)
			return ((const struct r_debug *)dyn->d_un.d_ptr)->r_map;
	return NULL;
}

static const struct link_map *objects(void)
{
	if (&_r_debug != NULL && _r_debug.r_map != NULL)
		return _r_debug.r_map;
	return objects_by_headers();
}

void next_start(void)
{
	const struct link_map *m = objects();

	while (m != NULL && m->l_next != NULL)
		m = m->l_next;
	last_object = m;
}

const char *next_own_name(void)
{
	const struct link_map *m;

	for (m = objects(); m != NULL; m = m->l_next)
		if (m->l_ld == _DYNAMIC && m->l_name != NULL)
			return m->l_name;
	return "";
}

bool next_is_glibc(void)
{
	return gnu_get_libc_version != NULL;
}

/* glibc relocates the addresses in a dynamic section, musl leaves them as they are. */
static const void *address(const struct link_map *m, ElfW(Addr) value)
{
	return (const void *)(value < m->l_addr ? m->l_addr + value : value);
}

static void read_tables(const struct link_map *m, struct tables *t)
{
	const ElfW(Dyn) * d;

	*t = (struct tables){ 0 };
	for (d = m->l_ld; d->d_tag != DT_NULL; d++) {
		const void *at = address(m, d->d_un.d_ptr);

		switch (d->d_tag) {
		case DT_SYMTAB:
			t->symbols = at;
			break;
		case DT_STRTAB:
			t->strings = at;
			break;
		case DT_GNU_HASH:
			t->gnu_hash = at;
			break;
		case DT_HASH:
			t->sysv_hash = at;
			break;
		case DT_VERSYM:
			t->versions = at;
			break;
		}
	}
}

/* A defined function of this name, and not one kept only for old programs (hidden version). */
static bool is_wanted(const struct tables *t, uint32_t i, const char *name)
{
	const ElfW(Sym) *s = &t->symbols[i];
	unsigned type = ELF64_ST_TYPE(s->st_info);

	if (s->st_shndx == SHN_UNDEF || (type != STT_FUNC && type != STT_GNU_IFUNC))
		return false;
	if (t->versions != NULL && (t->versions[i] & 0x8000) != 0)
		return false;
	return same(t->strings + s->st_name, name);
}

/* Index of the symbol, or 0. */
static uint32_t find_gnu(const struct tables *t, const char *name)
{
	const uint32_t *head = t->gnu_hash;
	uint32_t nr_buckets = head[0], first = head[1], nr_bloom = head[2], shift = head[3];
	const ElfW(Addr) *bloom = (const ElfW(Addr) *)(head + 4);
	const uint32_t *buckets = (const uint32_t *)(bloom + nr_bloom);
	const uint32_t *chain = buckets + nr_buckets;
	const unsigned bits = 8 * sizeof(ElfW(Addr));
	const char *c;
	uint32_t hash = 5381, i;
	ElfW(Addr) word;

	for (c = name; *c != '\0'; c++)
		hash = hash * 33 + (unsigned char)*c;
	word = bloom[hash / bits & (nr_bloom - 1)];
	if ((word >> hash % bits & word >> (hash >> shift) % bits & 1) == 0)
		return 0;
	i = buckets[hash % nr_buckets];
	if (i < first)
		return 0;
	for (;; i++) {
		if ((chain[i - first] | 1) == (hash | 1) && is_wanted(t, i, name))
			return i;
		if ((chain[i - first] & 1) != 0)
			return 0;
	}
}

static uint32_t find_sysv(const struct tables *t, const char *name)
{
	uint32_t nr_buckets = t->sysv_hash[0], hash = 0, high, i;
	const uint32_t *buckets = t->sysv_hash + 2, *chain = buckets + nr_buckets;
	const char *c;

	for (c = name; *c != '\0'; c++) {
		hash = (hash << 4) + (unsigned char)*c;
		high = hash & 0xf0000000u;
		hash = (hash ^ high >> 24) & ~high;
	}
	for (i = buckets[hash % nr_buckets]; i != 0; i = chain[i])
		if (is_wanted(t, i, name))
			return i;
	return 0;
}

static void *find_in(const struct link_map *m, const char *name)
{
	struct tables t;
	uint32_t i;
	void *at;

	read_tables(m, &t);
	if (t.symbols == NULL || t.strings == NULL)
		return NULL;
	if (t.gnu_hash != NULL)
		i = find_gnu(&t, name);
	else if (t.sysv_hash != NULL)
		i = find_sysv(&t, name);
	else
		return NULL;
	if (i == 0)
		return NULL;
	at = (void *)(m->l_addr + t.symbols[i].st_value);
	if (ELF64_ST_TYPE(t.symbols[i].st_info) == STT_GNU_IFUNC)
		at = ((void *(*)(void))at)();
	return at;
}

static void *find_up_to(const struct link_map *last, const char *name)
{
	const struct link_map *m = objects();
	bool behind_us = false;
	void *f;

	for (; m != NULL; m = m->l_next) {
		if (behind_us) {
			f = find_in(m, name);
			if (f != NULL)
				return f;
		} else if (m->l_ld == _DYNAMIC) {
			behind_us = true;
		}
		if (m == last)
			break;
	}
	return NULL;
}

void *next_find(const char *name)
{
	return find_up_to(last_object, name);
}

void *next_find_late(const char *name)
{
	return find_up_to(NULL, name);
}
