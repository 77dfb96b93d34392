/*
 * op_family.h - the operations by family; table.c has a row for each.
 */
#ifndef TEST_REFMODEL_OP_FAMILY_H
#define TEST_REFMODEL_OP_FAMILY_H

#include "test/refmodel/refmodel.h"

#define OP(name) bool op_##name(struct actor *a, const uint32_t *arg)

/* op_fd.c */
OP(open);
OP(creat);
OP(close);
OP(dup);
OP(dup2);
OP(close_range);
OP(closefrom);
OP(reopen);
OP(audit);
OP(pass);
/* op_fdask.c */
OP(lseek);
OP(fcntl);
OP(lock);
OP(flock);
OP(ioctl);
OP(poll);
OP(fadvise);
OP(sync);
OP(fd_change);
/* op_read.c */
OP(read);
OP(pread);
OP(readv);
OP(preadv);
OP(preadv2);
OP(shared_pread);
OP(direct_read);
OP(bad_read);
OP(write);
OP(pwrite);
/* op_copy.c */
OP(sendfile);
OP(copy_range);
OP(splice);
/* op_stat.c */
OP(stat);
OP(fstat);
OP(statx);
OP(access);
OP(readlink);
OP(realpath);
OP(xattr);
OP(statfs);
/* op_change.c */
OP(unlink);
OP(rename);
OP(mkdir);
OP(rmdir);
OP(symlink);
OP(link);
OP(truncate);
OP(chmod);
OP(utimes);
OP(mknod);
/* op_cwd.c */
OP(chdir);
OP(fchdir);
OP(getcwd);
/* op_dir.c */
OP(opendir);
OP(fdopendir);
OP(readdir);
OP(rewinddir);
OP(seekdir);
OP(closedir);
OP(getdents);
/* op_walk.c */
OP(scandir);
OP(glob);
OP(nftw);
OP(fts);
OP(wordexp);
/* op_map.c, op_mapchange.c */
OP(mmap);
OP(mmap_fixed);
OP(map_check);
OP(map_write);
OP(munmap);
OP(mremap);
OP(mprotect);
OP(madvise);
OP(mlock);
OP(map_io);
/* op_stream.c, op_streamread.c */
OP(fopen);
OP(fdopen);
OP(freopen);
OP(fclose);
OP(setvbuf);
OP(fread);
OP(fgets);
OP(fgetc);
OP(ungetc);
OP(getline);
OP(fscanf);
OP(fseek);
OP(ftell);
OP(fflush);
OP(fwrite);
OP(fgetws);
/* op_process.c: fork and join are brackets that run.c looks for */
OP(fork);
OP(join);
OP(spawn_self);
OP(spawn_cat);
OP(popen);

#endif
