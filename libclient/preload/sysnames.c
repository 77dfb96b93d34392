#include "libclient/preload/sysnames.h"

#include "libclient/core/sys.h"
#include "libclient/preload/mutate.h"
#include "libclient/preload/preload.h"

#include <stdio.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452 /* Linux 6.6 */
#endif

#define A(type, i) ((type)a[i])
#define PATH(i)	   A(const char *, i)

/* The oldest ones, which newer machines do not have. */
static bool by_old_name(long nr, const long a[6], long *ret)
{
	(void)a; /* where there are none of them */
	(void)ret;
	switch (nr) {
#ifdef __NR_link
	case __NR_link:
		*ret = link(PATH(0), PATH(1));
		return true;
	case __NR_symlink:
		*ret = symlink(PATH(0), PATH(1));
		return true;
	case __NR_mknod:
		*ret = mknod(PATH(0), A(mode_t, 1), A(dev_t, 2));
		return true;
	case __NR_chown:
		*ret = chown(PATH(0), A(uid_t, 1), A(gid_t, 2));
		return true;
	case __NR_lchown:
		*ret = lchown(PATH(0), A(uid_t, 1), A(gid_t, 2));
		return true;
	case __NR_utime:
		*ret = utime(PATH(0), A(const struct utimbuf *, 1));
		return true;
	case __NR_utimes:
		*ret = utimes(PATH(0), A(const struct timeval *, 1));
		return true;
	case __NR_futimesat:
		*ret = futimesat(A(int, 0), PATH(1), A(const struct timeval *, 2));
		return true;
	case __NR_renameat:
		*ret = renameat(A(int, 0), PATH(1), A(int, 2), PATH(3));
		return true;
#endif
	}
	return false;
}

static bool by_attribute(long nr, const long a[6], long *ret)
{
	switch (nr) {
	case __NR_getxattr:
		*ret = getxattr(PATH(0), PATH(1), A(void *, 2), A(size_t, 3));
		return true;
	case __NR_lgetxattr:
		*ret = lgetxattr(PATH(0), PATH(1), A(void *, 2), A(size_t, 3));
		return true;
	case __NR_listxattr:
		*ret = listxattr(PATH(0), A(char *, 1), A(size_t, 2));
		return true;
	case __NR_llistxattr:
		*ret = llistxattr(PATH(0), A(char *, 1), A(size_t, 2));
		return true;
	case __NR_setxattr:
		*ret = setxattr(PATH(0), PATH(1), A(void *, 2), A(size_t, 3), A(int, 4));
		return true;
	case __NR_lsetxattr:
		*ret = lsetxattr(PATH(0), PATH(1), A(void *, 2), A(size_t, 3), A(int, 4));
		return true;
	case __NR_removexattr:
		*ret = removexattr(PATH(0), PATH(1));
		return true;
	case __NR_lremovexattr:
		*ret = lremovexattr(PATH(0), PATH(1));
		return true;
	}
	return false;
}

bool sysnames_call(long nr, const long a[6], long *ret)
{
	switch (nr) {
	case __NR_linkat:
		*ret = linkat(A(int, 0), PATH(1), A(int, 2), PATH(3), A(int, 4));
		return true;
	case __NR_symlinkat:
		*ret = symlinkat(PATH(0), A(int, 1), PATH(2));
		return true;
	case __NR_mknodat:
		*ret = mknodat(A(int, 0), PATH(1), A(mode_t, 2), A(dev_t, 3));
		return true;
	case __NR_fchownat:
		*ret = fchownat(A(int, 0), PATH(1), A(uid_t, 2), A(gid_t, 3), A(int, 4));
		return true;
	case __NR_fchmodat2:
		*ret = answer(mutate_chmod2(A(int, 0), PATH(1), A(mode_t, 2), A(int, 3)));
		return true;
	case __NR_statfs:
		*ret = statfs(PATH(0), A(struct statfs *, 1));
		return true;
	case __NR_inotify_add_watch:
		*ret = inotify_add_watch(A(int, 0), PATH(1), A(uint32_t, 2));
		return true;
	case __NR_fanotify_mark:
		*ret = fanotify_mark(A(int, 0), A(unsigned, 1), A(uint64_t, 2), A(int, 3), PATH(4));
		return true;
	}
	return by_old_name(nr, a, ret) || by_attribute(nr, a, ret);
}
