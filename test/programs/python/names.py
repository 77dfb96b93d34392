"""os, pathlib, glob, fnmatch, stat: prints all that may be compared."""
import errno
import glob
import os
import pathlib
import stat
import sys

D = sys.argv[1]
root = pathlib.Path(D)

for here, folders, files in os.walk(D):
    folders.sort()
    print(os.path.relpath(here, D), folders, sorted(files))
for here, folders, files, fd in os.fwalk(D):
    folders.sort()
    print(os.path.relpath(here, D), [os.stat(f, dir_fd=fd).st_size for f in sorted(files)])
for path in sorted(root.rglob("*")):
    st = path.stat()
    if path.is_file():
        print(path.relative_to(root), st.st_size, oct(st.st_mode), st.st_mtime_ns, st.st_nlink, st.st_uid == os.getuid(),
              path.is_symlink(), st == path.lstat(), os.path.samefile(path, root / path))
    else:
        print(path.relative_to(root), stat.filemode(st.st_mode))
with os.scandir(root / "odd names") as entries:
    print(sorted((e.name, e.is_file(), e.is_dir(), e.is_symlink(), e.inode() == e.stat().st_ino) for e in entries))
print(sorted(os.listdir(D)), sorted(os.listdir(os.fsencode(D))), len(os.listdir(os.open(root / "many/1", os.O_RDONLY))))
print(sorted(glob.glob("**/*.txt", root_dir=D, recursive=True)), sorted(glob.glob(D + "/odd*/[!a-z]*")) != [])
print(sorted(p.name for p in root.glob("*/[lr]*.txt")), [p.name for p in sorted((root / "src").iterdir())])

folder = os.open(D, os.O_RDONLY | os.O_DIRECTORY)
fd = os.open("src/plus.h", os.O_RDONLY, dir_fd=folder)
print(os.read(fd, 20), os.stat("text", dir_fd=folder).st_mode == os.stat(root / "text").st_mode,
      os.access("config.json", os.R_OK, dir_fd=folder), os.fstat(fd) == os.stat(root / "src" / "plus.h"))
os.fchdir(folder)
print(os.path.relpath(os.getcwd(), D), os.path.exists("config.json"), os.path.realpath("src/../empty") == D + "/empty")
os.chdir("src/sub")
print(os.path.relpath(os.getcwd(), D), open("deep.h").read(), open("../plus.h").readline(), os.path.abspath("x") == D + "/src/sub/x")
print(os.statvfs(D).f_bsize == os.statvfs(root / "config.json").f_bsize, os.listxattr(root / "config.json"))
print([os.access(root / "config.json", m) for m in (os.F_OK, os.R_OK, os.X_OK)], os.pathconf(root / "empty", "PC_NAME_MAX"))

for call, *args in ((os.stat, D + "/none"), (os.open, D + "/none", 0), (os.open, D + "/config.json/", 0), (os.listdir, D + "/config.json"),
                    (os.open, D + "/config.json", os.O_DIRECTORY), (os.readlink, D + "/config.json"), (os.stat, D + "/" + "n" * 300),
                    (os.chdir, D + "/empty"), (os.open, D + "/none/x", os.O_RDONLY), (os.rmdir, D + "/none"), (os.unlink, D + "/none"),
                    (os.mkdir, D + "/src"), (os.getxattr, D + "/config.json", "user.none"),
                    (os.open, D + "/config.json", os.O_CREAT | os.O_EXCL | os.O_WRONLY)):
    try:
        call(*args)
        print(call.__name__, "succeeded")
    except OSError as e:
        print(call.__name__, errno.errorcode[e.errno], str(e).replace(D, "DIR"))
