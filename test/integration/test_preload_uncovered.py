"""What the library cannot see: static programs, Go, io_uring, system calls made in a program's own code.

Each meets an error (ENOENT, EBADF, EACCES) or the right bytes of a private copy: never zeros, never short data.
"""
import hashlib
import os
import random
import shutil
import subprocess
import sys

import pytest

from conftest import KEY
from daemon import Daemon
from store import Store

MiB = 1 << 20
BLOB = random.Random(6).randbytes(2 * MiB + 4321)
DIGEST = hashlib.sha256(BLOB).hexdigest()


@pytest.fixture(scope="module")
def shared():
    with Store(keys=[KEY], buckets=["models"]) as store:
        store.put("models/m/blob.bin", BLOB)
        with Daemon(store, {"cache": {"size": "64MiB"}}, prefix="m/", key=KEY) as daemon:
            yield daemon


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """build(name, source, *options): a C program."""
    where = tmp_path_factory.mktemp("programs")

    def compile(name, source, *options):
        path = where / name
        if not path.exists():
            (where / f"{name}.c").write_text(source)
            subprocess.run(["gcc", "-O1", "-Wall", "-o", path, where / f"{name}.c", *options], check=True)
        return path
    return compile


def sh(daemon, script, **env):
    return daemon.run("bash", "-c", script, env={"D": str(daemon.model_dir), **{k: str(v) for k, v in env.items()}})


# ---- static programs ----------------------------------------------------------------------

def test_a_static_program_finds_no_file_and_reads_what_is_handed_to_it(shared):
    out = sh(shared, "ls $D >/dev/null; busybox cat $D/blob.bin; busybox sha256sum < $D/blob.bin; "
                     "busybox head -c 1000000 < $D/blob.bin | wc -c; cat $D/blob.bin | busybox sha256sum")
    assert b"No such file or directory" in out.stderr
    assert out.stdout.decode() == f"{DIGEST}  -\n1000000\n{DIGEST}  -\n"


def test_an_unhooked_program_of_ones_own_linked_statically(shared, build):
    """The same by a C program, which may also look through /proc at what it got."""
    program = build("static", """
        #include <errno.h>
        #include <fcntl.h>
        #include <stdio.h>
        #include <string.h>
        #include <sys/mman.h>
        #include <sys/stat.h>
        #include <unistd.h>
        int main(int argc, char **argv)
        {
            struct stat st;
            char *map;
            int fd;
            (void)argc;
            fd = open(argv[1], O_RDONLY);
            printf("%d %s\\n", fd, strerror(errno));
            fstat(0, &st);
            map = mmap(0, st.st_size, PROT_READ, MAP_SHARED, 0, 0);
            fd = open("/proc/self/fd/0", O_RDONLY);
            for (long i = 0; map != MAP_FAILED && i < st.st_size; i += 4096) {
                char c;
                if (pread(fd, &c, 1, i) != 1 || c != map[i])
                    return 1;
            }
            fwrite(map, 1, st.st_size, stderr);
            printf("%d\\n", open("/proc/self/fd/0", O_RDWR) >= 0 && write(open("/proc/self/fd/0", O_RDWR), "", 1) == 1);
            return map == MAP_FAILED;
        }
        """, "-static")
    out = sh(shared, "exec $P $D/blob.bin < $D/blob.bin", P=program)
    assert out.returncode == 0, out
    assert out.stdout == b"-1 No such file or directory\n0\n" and out.stderr == BLOB


# ---- Go ---------------------------------------------------------------------------------------

GO = """
package main

import "os"

func main() {
	_, err := os.Open(os.Args[1])
	if !os.IsNotExist(err) {
		os.Exit(1)
	}
	bytes := make([]byte, 1<<16)
	for {
		n, err := os.Stdin.Read(bytes)
		os.Stdout.Write(bytes[:n])
		if n == 0 {
			println(err.Error())
			break
		}
	}
}
"""
CGO = GO.replace('import "os"', '// #include <unistd.h>\nimport "C"\nimport "os"')


@pytest.fixture(scope="module")
def go_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("go-cache")


@pytest.mark.parametrize("source", [GO, CGO], ids=["static", "with C"])
@pytest.mark.skipif(shutil.which("go") is None, reason="needs go, which scripts/bootstrap installs")
def test_a_go_program_finds_no_file_and_reads_a_copy_on_its_input(source, shared, go_cache, tmp_path):
    (tmp_path / "main.go").write_text(source)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LD_PRELOAD", "GO"))}
    env.update(GOCACHE=str(go_cache), GOPATH=str(tmp_path / "go"), GO111MODULE="off", GOTOOLCHAIN="local")
    subprocess.run(["go", "build", "-o", "program", "main.go"], cwd=tmp_path, env=env, check=True, timeout=300)
    out = sh(shared, "ls $D >/dev/null; $P $D/blob.bin < $D/blob.bin", P=tmp_path / "program")
    assert (out.returncode, out.stderr) == (0, b"EOF\n") and out.stdout == BLOB, out.stderr


# ---- io_uring -----------------------------------------------------------------------------------

URING = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int read_by(struct io_uring *ring, int fd, unsigned flags, char *buf)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int r;

	io_uring_prep_read(sqe, fd, buf, 4096, 8192);
	io_uring_sqe_set_flags(sqe, flags);
	io_uring_submit(ring);
	io_uring_wait_cqe(ring, &cqe);
	r = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return r;
}

int main(int argc, char **argv)
{
	static char plain[4096], fixed[4096], want[4096];
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int fd, r;

	(void)argc;
	r = io_uring_queue_init(8, &ring, 0);
	if (r == -ENOSYS || r == -EPERM)
		return 77;
	fd = open(argv[1], O_RDONLY);
	if (pread(fd, want, 4096, 8192) != 4096)
		return 1;
	/* A path given to the ring, a descriptor given to it, and one registered through liburing. */
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_openat(sqe, AT_FDCWD, argv[1], O_RDONLY, 0);
	io_uring_submit(&ring);
	io_uring_wait_cqe(&ring, &cqe);
	printf("%s\n", strerror(-cqe->res));
	io_uring_cqe_seen(&ring, cqe);
	r = read_by(&ring, fd, 0, plain);
	printf("%s\n", strerror(-r));
	for (r = 0; r < 4096; r++)
		if (plain[r] != 0)
			return 2;
	if (io_uring_register_files(&ring, &fd, 1) == 0) {
		r = read_by(&ring, 0, IOSQE_FIXED_FILE, fixed);
		printf("%s\n", r == 4096 && memcmp(fixed, want, 4096) == 0 ? "right" : strerror(-r));
		io_uring_unregister_files(&ring);
	}
	/* Registered by syscall(): a copy, also for reads of the number itself. */
	close(fd);
	fd = open(argv[1], O_RDONLY);
	if (syscall(SYS_io_uring_register, ring.ring_fd, IORING_REGISTER_FILES, &fd, 1) != 0)
		return 3;
	r = read_by(&ring, 0, IOSQE_FIXED_FILE, fixed);
	printf("%d %d\n", r, memcmp(fixed, want, 4096));
	r = read_by(&ring, fd, 0, plain);
	printf("%d %d\n", r, memcmp(plain, want, 4096));
	return 0;
}
"""


def test_io_uring_is_refused_and_a_registered_file_is_a_copy(shared, build):
    program = build("uring", URING, "-luring")
    out = shared.run(program, shared.path("blob.bin"))
    if out.returncode == 77:
        pytest.skip("this kernel or container has no io_uring")
    assert out.returncode == 0, out
    lines = out.stdout.decode().splitlines()
    assert lines[0] == "No such file or directory"
    assert lines[1] == "Bad file descriptor"
    assert lines[2] == "right"
    assert lines[3:] == ["4096 0", "4096 0"]


# ---- system calls -----------------------------------------------------------------------------------

RAW = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long raw(long nr, long a, long b, long c, long d, long e, long f)
{
	long r;
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
#else
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	r = x0;
#endif
	return r;
}

#define SHOW(what, call) do { long r_ = (call); printf("%s %s\n", what, r_ < 0 ? strerrorname_np((int)-r_) : "done"); } while (0)

int main(int argc, char **argv)
{
	char buf[4096] = "", want[4096];
	struct iovec iov = { buf, sizeof(buf) };
	int fd = open(argv[1], O_RDONLY), out = memfd_create("out", 0), pipes[2];
	loff_t at = 0;

	(void)argc;
	if (pipe(pipes) != 0 || pread(fd, want, sizeof(want), 4096) != sizeof(want))
		return 1;
	printf("syscall %d\n", syscall(SYS_pread64, fd, buf, sizeof(buf), 4096L) == 4096 && memcmp(buf, want, 4096) == 0);
	printf("syscall %d\n", syscall(SYS_lseek, fd, 4096L, SEEK_SET) == 4096 && syscall(SYS_read, fd, buf, 4096L) == 4096 &&
	       memcmp(buf, want, 4096) == 0);
	memset(buf, 'x', sizeof(buf));
	SHOW("open", raw(SYS_openat, AT_FDCWD, (long)argv[1], O_RDONLY, 0, 0, 0));
	SHOW("read", raw(SYS_read, fd, (long)buf, sizeof(buf), 0, 0, 0));
	SHOW("pread", raw(SYS_pread64, fd, (long)buf, sizeof(buf), 0, 0, 0));
	SHOW("readv", raw(SYS_readv, fd, (long)&iov, 1, 0, 0, 0));
	SHOW("preadv2", raw(SYS_preadv2, fd, (long)&iov, 1, 0, 0, 0));
	SHOW("mmap", raw(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
	SHOW("shared mmap", raw(SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED, fd, 0));
	SHOW("sendfile", raw(SYS_sendfile, out, fd, 0, 4096, 0, 0));
	SHOW("copy_file_range", raw(SYS_copy_file_range, fd, (long)&at, out, 0, 4096, 0));
	SHOW("splice", raw(SYS_splice, fd, (long)&at, pipes[1], 0, 4096, 0));
	for (unsigned i = 0; i < sizeof(buf); i++)
		if (buf[i] != 'x')
			return 2;
	if (lseek(out, 0, SEEK_END) != 0)
		return 3;
	/* A number that was closed, and given out again, behind the library's back. */
	raw(SYS_dup3, open("/dev/null", O_RDONLY), fd, 0, 0, 0, 0);
	printf("stale %zd\n", pread(fd, buf, 10, 0));
	close(fd);
	printf("closed %d\n", pread(fd, buf, 10, 0) == -1 && errno == EBADF);
	return 0;
}
"""
ERRORS = {"open": ["ENOENT"], "mmap": ["EACCES"], "shared mmap": ["EACCES"], "read": ["EBADF"], "pread": ["EBADF"],
          "readv": ["EBADF"], "preadv2": ["EBADF"], "sendfile": ["EBADF"], "copy_file_range": ["EBADF"],
          "splice": ["EBADF"]}


def test_syscall_is_seen_and_inline_system_calls_get_errors(shared, build):
    program = build("raw", RAW)
    out = shared.run(program, shared.path("blob.bin"))
    assert out.returncode == 0, out
    lines = out.stdout.decode().splitlines()
    assert lines[:2] == ["syscall 1"] * 2
    assert {x.rpartition(" ")[0]: [x.rpartition(" ")[2]] for x in lines[2:12]} == ERRORS
    # The documented limit: the library still shows the store file there, whatever the number is by now.
    assert lines[12] == "stale 10"
    assert lines[13] == "closed 1"


def test_a_plugin_bound_to_libc_itself_gets_errors(shared):
    """dlsym in libc, as plugins loaded with RTLD_DEEPBIND call it."""
    out = shared.run(sys.executable, "-c", """if True:
        import ctypes, errno, os
        libc = ctypes.CDLL("libc.so.6", use_errno=True)
        path = os.environ["MODEL_DIR"].encode() + b"/blob.bin"
        print(libc.open(path, 0), errno.errorcode[ctypes.get_errno()])
        fd, buf = os.open(path, 0), ctypes.create_string_buffer(b"x" * 16, 16)
        print(libc.read(fd, buf, 16), errno.errorcode[ctypes.get_errno()], buf.raw)
        libc.fdopen.restype = ctypes.c_void_p
        f = libc.fdopen(os.dup(fd), b"r")
        print(f is None or libc.fread(buf, 1, 16, ctypes.c_void_p(f)), buf.raw)
        """)
    assert out.returncode == 0, out
    lines = out.stdout.decode().splitlines()
    assert lines[0] == "-1 ENOENT" and lines[1] == f"-1 EBADF {b'x' * 16!r}"
    assert lines[2] in (f"True {b'x' * 16!r}", f"0 {b'x' * 16!r}")
