"""Processes that change their rights, their root or their limits after they opened store files: right bytes or an error."""
import os
import resource
import sys

import pytest

from test_preload_process import MiB, body, own, plain, python, served, shared  # noqa: F401

BEGIN = """
    import ctypes, errno, hashlib, mmap, os, resource, sys
    D = os.environ["D"]
    libc = ctypes.CDLL(None, use_errno=True)
    def result(call, *args):
        try:
            return call(*args)
        except OSError as e:
            return errno.errorcode[e.errno]
    def digest(x):
        return hashlib.md5(x).hexdigest()
    def whole(path):
        with open(path, "rb") as f:
            return digest(f.read())
    fd = os.open(D + "/w.bin", os.O_RDONLY)
    first = os.pread(fd, 1000, 0)
    m = mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)
    want = digest(m)
    def rest():
        "of the open file, of the mapping, of a path, of a path never seen, in a child"
        print(digest(os.pread(fd, 1 << 24, 0)) == want, digest(m) == want)
        print(result(whole, D + "/w.bin") == want or result(whole, D + "/w.bin"), result(whole, D + "/many/7"), flush=True)
        pid = os.fork()
        if pid == 0:
            print(digest(m) == want, result(lambda: digest(os.pread(fd, 1 << 24, 0))) in (want, "EACCES", "EIO"))
            sys.stdout.flush()
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
"""
ERRORS = ("EACCES", "EIO", "ENOENT")


def judge(lines):
    import hashlib
    small = hashlib.md5(body(2, 100_000)).hexdigest()
    assert lines[0] == "True True" and lines[2:] == ["True True", "0"], lines
    again, new = lines[1].split()
    assert again in ("True", *ERRORS) and new in (small, *ERRORS), lines


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changing user or root takes root")

CHANGES = {
    "setuid": "os.setgid(65534); os.setuid(65534)",
    "seteuid": "os.seteuid(65534)",
    "chroot": "os.mkdir(D + '/../root'); os.chroot(D + '/../root'); os.chdir('/')",
    "unshare-mounts": "assert libc.unshare(0x20000) == 0, ctypes.get_errno()",
    "unshare-files": "assert libc.unshare(0x400) == 0",
    "unshare-fs": "assert libc.unshare(0x200) == 0",
}


@needs_root
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_rights_leaves_right_bytes_or_an_error(change, own):
    out = python(own(), BEGIN + "\n    " + CHANGES[change] + "\n    rest()\n")
    judge(out.splitlines())


def test_a_user_namespace_of_its_own(own):
    out = python(own(), BEGIN + """
    if libc.unshare(0x10000000) != 0:
        print("refused")
        sys.exit()
    rest()
    """)
    if out != "refused\n":
        judge(out.splitlines())


def test_descriptors_run_out(own):
    """EMFILE is told as such, before the library has a link and after; closing helps."""
    code = """
    import errno, os, resource
    D = os.environ["D"]
    def fill():
        taken = []
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as e:
            assert e.errno == errno.EMFILE
        return taken
    def result(call, *args):
        try:
            return call(*args)
        except OSError as e:
            return errno.errorcode[e.errno]
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    taken = fill()
    print(result(os.open, D + "/text", os.O_RDONLY))
    for fd in taken[5:]:
        os.close(fd)
    files = []
    while not isinstance(fd := result(os.open, D + "/text", os.O_RDONLY), str):
        files.append(fd)
    print(fd, len(files) > 10, {os.read(f, 9) for f in files})
    for f in files:
        os.close(f)
    print(open(D + "/text").read().split(), len(os.listdir(D)), open(D + "/many/5", "rb").read(3) != b"")
    """
    assert python(own(), code) == "EMFILE\nEMFILE True {b'one\\ntwo\\nt'}\n['one', 'two', 'three'] 4 True\n"


def test_address_space_runs_out(own):
    """What cannot be mapped is ENOMEM; what was open goes on."""
    code = BEGIN + """
    size = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (size + (8 << 20), resource.RLIM_INFINITY))
    print(result(os.open, D + "/big.bin", os.O_RDONLY), result(lambda: mmap.mmap(fd, 24 << 20, access=mmap.ACCESS_READ)) != m)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(digest(os.pread(fd, 1 << 24, 0)) == want, len(open(D + "/big.bin", "rb").read()))
    """
    lines = python(own(), code.replace("result(lambda: mmap.mmap(fd, 24 << 20, access=mmap.ACCESS_READ)) != m",
                                       "len(os.pread(fd, 4000, 0))")).splitlines()
    assert lines == ["ENOMEM 4000", f"True {24 * MiB}"]
