"""Store descriptors that leave the process: over exec, spawn and sockets, into libc and into other numbers."""
import hashlib
import os
import pathlib
import random
import shutil
import subprocess
import sys
import textwrap

import pytest

from conftest import KEY
from daemon import Daemon
from store import Store

MiB = 1 << 20
LINES = b"".join(b"line %d of a file in the store\n" % i for i in range(1, 40_001))
BLOB = random.Random(5).randbytes(3 * MiB + 12345)
BUSYBOX = shutil.which("busybox")


@pytest.fixture(scope="module")
def shared():
    """One store and one daemon for all that only reads."""
    with Store(keys=[KEY], buckets=["models"]) as store:
        store.put("models/m/lines.txt", LINES)
        store.put("models/m/blob.bin", BLOB)
        store.put("models/m/sub/inner.txt", b"inner\n")
        store.put("models/m/empty", b"")
        store.put("models/m/run.sh", b"#!/bin/sh\necho ran\n")
        with Daemon(store, {"cache": {"size": "64MiB"}}, prefix="m/", key=KEY) as daemon:
            yield daemon


def sh(daemon, script, env=None, code=0):
    out = daemon.run("bash", "-c", script, env={"D": str(daemon.model_dir), **(env or {})})
    assert out.returncode == code, (out.stdout, out.stderr)
    return out.stdout


def python(daemon, code, **kw):
    out = daemon.run(sys.executable, "-c", textwrap.dedent(code), env={"D": str(daemon.model_dir)}, **kw)
    assert out.returncode == 0, out.stderr.decode()
    return out.stdout.decode()


def digest(data):
    return hashlib.sha256(data).hexdigest()


# ---- exec ----------------------------------------------------------------------------------

@pytest.mark.parametrize("command", [
    "exec busybox sha256sum - < $D/blob.bin",
    "busybox sha256sum < $D/blob.bin",
    "busybox cat < $D/blob.bin | sha256sum",
    "exec 7<$D/blob.bin; busybox sh -c 'sha256sum <&7'",
    "env -i PATH=$PATH cat < $D/blob.bin | sha256sum",
    "env -i busybox sha256sum < $D/blob.bin",
    "env -u LD_PRELOAD cat < $D/blob.bin | sha256sum",
    "env -u LD_PRELOAD -u ENABLE_CONNECTOR sha256sum < $D/blob.bin",
    "python3 -c 'import os; os.execvp(\"busybox\", [\"busybox\", \"sha256sum\"])' < $D/blob.bin",
    "perl -e 'exec \"busybox\", \"sha256sum\"' < $D/blob.bin",
])
def test_a_program_without_the_library_reads_a_copy(command, shared):
    assert sh(shared, command).split()[0].decode() == digest(BLOB)


def test_the_copy_goes_on_where_the_reader_was_and_ends_where_it_ends(shared):
    out = sh(shared, "exec 3<$D/lines.txt; read a <&3; read b <&3; echo \"$a\"; exec busybox tail -n +1 <&3")
    assert out == LINES.split(b"\n")[0] + b"\n" + b"".join(x + b"\n" for x in LINES.split(b"\n")[2:-1])


def test_an_empty_file_and_two_files_at_once(shared):
    assert sh(shared, "busybox wc -c < $D/empty") == b"0\n"
    out = sh(shared, "busybox sh -c 'sha256sum; sha256sum <&5' < $D/blob.bin 5< $D/lines.txt").split()
    assert [out[0].decode(), out[2].decode()] == [digest(BLOB), digest(LINES)]


def test_the_copy_cannot_be_written(shared):
    out = sh(shared, "busybox sh -c 'echo no >&3; echo $?; echo no > /proc/self/fd/3; echo $?; "
                     "dd if=/dev/zero of=/proc/self/fd/3 count=1 conv=notrunc; echo $?; cat <&3' 3< $D/sub/inner.txt 2>/dev/null")
    assert out == b"1\n1\n1\ninner\n"


def test_scripts_are_judged_by_their_interpreters(shared, tmp_path):
    static, dynamic = tmp_path / "static.sh", tmp_path / "dynamic.sh"
    static.write_text(f"#!{BUSYBOX} sh\nreadlink /proc/self/fd/0\ncat\n")
    dynamic.write_text("#!/bin/sh\nreadlink /proc/self/fd/0\ncat\n")
    second = tmp_path / "second.sh"
    second.write_text(f"#!{static}\n")
    for path in static, dynamic, second:
        path.chmod(0o755)
    for path in static, second:
        assert sh(shared, f"{path} < $D/sub/inner.txt") == b"/memfd:ossc-copy (deleted)\ninner\n"
    kept = sh(shared, f"{dynamic} < $D/sub/inner.txt")
    assert kept.startswith(b"/memfd:ossc:") and kept.endswith(b"\ninner\n")


def test_a_program_that_loads_the_library_keeps_the_placeholder_and_the_offset(shared):
    out = sh(shared, "exec 3<$D/lines.txt; head -n1 <&3; head -n1 <&3; read b <&3; echo \"$b\"; readlink /proc/self/fd/3")
    lines = out.split(b"\n")
    assert lines[:3] == LINES.split(b"\n")[:3] and lines[3].startswith(b"/memfd:ossc:")


def test_deciding_costs_few_system_calls(shared):
    """strace of one exec: with the store file as its input, and with an ordinary one."""
    log = shared.dir / "strace"
    code = "import os, sys; fd = os.open(sys.argv[1], 0); os.dup2(fd, 0); sys.stdout.flush(); os.kill(os.getpid(), 0); os.execv('/bin/true', ['true'])"

    def calls(path):
        out = shared.run("strace", "-o", log, sys.executable, "-c", code, path)
        assert out.returncode == 0, out.stderr
        lines = log.read_text().splitlines()
        first = next(i for i, line in enumerate(lines) if line.startswith("kill("))
        last = next(i for i, line in enumerate(lines) if i > first and line.startswith("execve("))
        return last - first

    assert calls(shared.path("lines.txt")) - calls("/etc/hostname") <= 16


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a set-user-ID program of another user")
def test_a_setuid_program_reads_a_copy(shared, tmp_path):
    tmp_path.chmod(0o755)
    program = tmp_path / "cat"
    shutil.copy("/bin/cat", program)
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    assert sh(shared, f"{program} < $D/blob.bin | sha256sum").split()[0].decode() == digest(BLOB)


def test_subprocess_by_vfork_leaves_the_parents_descriptors_alone(shared):
    out = python(shared, f"""
        import os, subprocess
        fd = os.open(os.environ["D"] + "/lines.txt", os.O_RDONLY)
        other = os.open(os.environ["D"] + "/lines.txt", os.O_RDONLY)
        os.read(fd, 5)
        os.read(other, 11)
        bare = {{"PATH": os.environ["PATH"], "ENABLE_CONNECTOR": "0"}}
        for argv in ["{BUSYBOX}", "head", "-c", "20"], ["head", "-c", "20"], ["sh", "-c", "head -c 20"]:
            print(subprocess.run(argv, stdin=fd, env=bare, capture_output=True).stdout)
        print(os.read(fd, 5), os.read(other, 5), os.readlink(f"/proc/self/fd/{{fd}}")[:12])
        print(subprocess.run(["head", "-c", "20"], stdin=other, capture_output=True).stdout)
        print(os.read(other, 3))
        print(subprocess.run(["{BUSYBOX}", "sh", "-c", f"cat <&{{fd}} | wc -c"], pass_fds=[fd], capture_output=True).stdout)
        """)
    want = [LINES[5:25]] * 3
    assert out == "".join(f"{x!r}\n" for x in want) + \
        f"{LINES[5:10]!r} {LINES[11:16]!r} /memfd:ossc:\n{LINES[16:36]!r}\n{LINES[36:39]!r}\n" + \
        repr(b"%d\n" % (len(LINES) - 10)) + "\n"


def test_a_program_in_the_bucket_is_not_run_and_it_is_said_once(shared):
    out = shared.run("bash", "-c", "$D/run.sh; cd $D && ./run.sh; sh $D/run.sh", env={"D": str(shared.model_dir)})
    assert out.stdout == b"ran\n" and out.stderr.count(b"ermission denied") == 2, out
    out = shared.run(sys.executable, "-c", textwrap.dedent("""
        import os
        D = os.environ["MODEL_DIR"]
        for call in (lambda: os.execv(D + "/run.sh", ["x"]), lambda: os.execvpe("run.sh", ["x"], {"PATH": D}),
                     lambda: os.posix_spawn(D + "/run.sh", ["x"], {}),
                     lambda: os.execve(os.open(D + "/run.sh", 0), ["x"], {})):
            try:
                call()
            except OSError as e:
                print(type(e).__name__)
        """))
    assert out.stdout == b"PermissionError\n" * 4, out
    assert out.stderr.count(b"cannot be run from the store") == 1


def test_search_and_scripts_without_a_first_line_go_as_in_libc(shared, tmp_path):
    """execvp over PATH: what may not be run is passed over, what the kernel does not know is the shell's."""
    for name, text, mode in (("a/tool", "no", 0o644), ("b/tool", "echo ran $1; cat", 0o755)):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text(text)
        path.chmod(mode)
    code = """
        import os
        os.dup2(os.open(os.environ["D"] + "/sub/inner.txt", 0), 0)
        os.environ["PATH"] = os.environ["P"] + "/none:" + os.environ["P"] + "/a:" + os.environ["P"] + "/b:" + os.environ["PATH"]
        import ctypes
        argv = (ctypes.c_char_p * 3)(b"tool", b"this", None)
        ctypes.CDLL(None).execvp(b"tool", argv)
        """
    out = shared.run(sys.executable, "-c", textwrap.dedent(code), env={"D": str(shared.model_dir), "P": str(tmp_path)})
    assert out.stdout == b"ran this\ninner\n", out


# ---- the environment ----------------------------------------------------------------------

def test_exec_keeps_what_the_library_needs_once_the_mount_is_attached(shared):
    out = python(shared, """
        import os, subprocess
        def names(env, before=""):
            out = subprocess.run(["/usr/bin/env"], env=env, capture_output=True, text=True).stdout
            return sorted(x.partition("=")[0] for x in out.splitlines())
        print(names({}))
        open(os.environ["D"] + "/lines.txt").close()
        print([x for x in names({"A": "1"}) if not x.startswith(("OSS", "XDG"))])
        print(names({"ENABLE_CONNECTOR": "0"}))
        env = {"LD_PRELOAD": "/nowhere/libother.so", "MODEL_DIR": os.environ["D"], "PATH": os.environ["PATH"]}
        print(subprocess.run(["head", "-n1", os.environ["D"] + "/lines.txt"], env=env, capture_output=True).stdout)
        print(subprocess.run(["cat", os.environ["D"] + "/sub/inner.txt"], env={}, capture_output=True).stdout)
        """)
    assert out.splitlines() == ["[]", "['A', 'ENABLE_CONNECTOR', 'LD_PRELOAD', 'MODEL_DIR']", "['ENABLE_CONNECTOR']",
                                f"{LINES.splitlines(True)[0]!r}", repr(b"inner\n")]


# ---- posix_spawn --------------------------------------------------------------------------

def test_posix_spawn_hands_over_what_its_actions_duplicate_and_nothing_else(shared):
    out = python(shared, f"""
        import os
        D = os.environ["D"]
        a, b = os.open(D + "/lines.txt", 0), os.open(D + "/blob.bin", 0)
        os.read(a, 5)
        def run(argv, actions, spawn=os.posix_spawn, env=os.environ):
            r, w = os.pipe()
            pid = spawn(argv[0], argv, env, file_actions=[(os.POSIX_SPAWN_DUP2, w, 1), *actions])
            os.close(w)
            out = b""
            while piece := os.read(r, 1 << 16):
                out += piece
            os.close(r)
            return out, os.waitpid(pid, 0)[1]
        name = lambda fd: os.readlink(f"/proc/self/fd/{{fd}}").split(" ")[0][:12]
        print(run(["{BUSYBOX}", "head", "-c", "6"], [(os.POSIX_SPAWN_DUP2, a, 0)]), name(a), name(b))
        print(run(["head", "-c", "6"], [(os.POSIX_SPAWN_DUP2, a, 0)], os.posix_spawnp), os.read(a, 4) != b"")
        print(run(["{BUSYBOX}", "head", "-c", "6"], [(os.POSIX_SPAWN_OPEN, 0, D + "/lines.txt", os.O_RDONLY, 0)]))
        print(run(["head", "-c", "6"], [(os.POSIX_SPAWN_OPEN, 0, D + "/lines.txt", os.O_RDONLY, 0)], os.posix_spawnp))
        print(run(["busybox", "head", "-c", "6"], [(os.POSIX_SPAWN_DUP2, b, 0)], os.posix_spawnp, {{}})[0] == os.pread(b, 6, 0), name(b))
        try:
            os.posix_spawn("/bin/true", ["true"], {{}}, file_actions=[(os.POSIX_SPAWN_OPEN, 5, D + "/lines.txt", os.O_WRONLY, 0)])
        except OSError as e:
            print(e.strerror)
        """)
    at = LINES[5:11]
    want = [f"({at!r}, 0) /memfd:ossc- /memfd:ossc:", f"({LINES[11:17]!r}, 0) True", f"({LINES[:6]!r}, 0)",
            f"({LINES[:6]!r}, 0)", "True /memfd:ossc-", "Read-only file system"]
    assert out.splitlines() == want


def test_system_popen_and_cwd_of_a_spawned_program(shared):
    out = sh(shared, """perl -e 'open(STDIN, "<", "$ENV{D}/sub/inner.txt"); system("busybox cat"); open(F, "<", "$ENV{D}/lines.txt");
        $^F = 100; open(G, "<", "$ENV{D}/lines.txt"); print `busybox head -n1 <&${\\fileno(G)}`'""")
    assert out == b"inner\n" + LINES.splitlines(True)[0]
    out = python(shared, """
        import subprocess, os
        print(subprocess.run(["cat", "inner.txt"], cwd=os.environ["D"] + "/sub", capture_output=True).stdout)
        print(subprocess.Popen("busybox cat", shell=True, stdin=open(os.environ["D"] + "/sub/inner.txt"), stdout=-1).stdout.read())
        """)
    assert out == "b'inner\\n'\nb'inner\\n'\n"


SPAWN = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
int pidfd_spawnp(int *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *,
		 char *const *) __attribute__((weak));

int main(int argc, char **argv)
{
	char *args[] = { argv[2], argv[3], argv[4], NULL };
	posix_spawn_file_actions_t a;
	siginfo_t info;
	int r, status, i, fd;
	pid_t pid;

	(void)argc;
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_addchdir_np(&a, argv[1]);
	posix_spawn_file_actions_addopen(&a, 0, "inner.txt", O_RDONLY, 0);
	for (i = 0; i < 2; i++) {
		r = posix_spawnp(&pid, argv[2], &a, NULL, args, environ);
		if (r != 0 || waitpid(pid, &status, 0) != pid)
			return printf("%s\n", strerror(r));
	}
	posix_spawn_file_actions_destroy(&a);
	if (pidfd_spawnp == NULL)
		return 0;
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_addchdir_np(&a, argv[1]);
	posix_spawn_file_actions_addopen(&a, 0, "inner.txt", O_RDONLY, 0);
	r = pidfd_spawnp(&fd, argv[2], &a, NULL, args, environ);
	if (r != 0 || waitid(P_PIDFD, fd, &info, WEXITED) != 0)
		return printf("%s\n", strerror(r));
	return 0;
}
"""


def test_actions_that_enter_a_directory_and_open_a_file_there(shared, tmp_path):
    """The same actions for two programs: each has an offset of its own."""
    (tmp_path / "spawn.c").write_text(SPAWN)
    subprocess.run(["gcc", "-O1", "-o", tmp_path / "spawn", tmp_path / "spawn.c"], check=True)
    for argv in ["busybox", "cat"], ["cat"]:
        out = shared.run(tmp_path / "spawn", shared.path("sub"), *argv)
        assert out.stdout == b"inner\n" * 3, out


# ---- the daemon gone, the file changed -------------------------------------------------------

@pytest.fixture
def own(store):
    """A store and a daemon that a story may end or change."""
    store.put("models/m/lines.txt", LINES)
    with Daemon(store, {"cache": {"size": "64MiB"}}, prefix="m/", key=KEY) as daemon:
        yield daemon


WAITS = "import sys; sys.stdout.write('up\\n'); sys.stdout.flush(); sys.stdin.readline()\n"


def orphan(daemon, child, role=1):
    """A parent opens the file as 9, starts `child`, tells us and ends; the child goes on when it reads a line."""
    parent = textwrap.dedent(f"""
        import os, sys
        os.dup2(os.open(os.environ["MODEL_DIR"] + "/lines.txt", 0), 9)
        os.execv("/bin/sh", ["sh", "-c", "exec 8<&0; " + {child!r} + " <&8 &"])
        """)
    return subprocess.Popen([sys.executable, "-c", parent], env=daemon.preload(role, OSSC_WAIT_SEC="1"), text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_copy_outlives_parent_and_daemon(own):
    with orphan(own, "busybox sh -c 'echo up; read x; cat <&9 | sha256sum'") as child:
        assert child.stdout.readline() == "up\n"
        child.wait(20)
        own.kill()
        child.stdin.write("go\n")
        child.stdin.close()
        assert child.stdout.read().split()[0] == digest(LINES)


READS = "import errno, os\ntry:\n print(len(os.read(9, 100)))\nexcept OSError as e:\n print(errno.errorcode[e.errno])\nprint(os.fstat(9).st_size)"


def test_an_inherited_placeholder_without_a_daemon_is_an_error(own):
    """A secondary starts no daemon, so that there is none."""
    holder = subprocess.Popen(["cat", own.path("lines.txt"), "-"], env=own.preload(1), stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL)
    try:
        with orphan(own, f'{sys.executable} -c "{WAITS}{READS}"', role=2) as child:
            assert child.stdout.readline() == "up\n"
            own.kill()
            child.stdin.write("go\n")
            child.stdin.close()
            assert child.stdout.read() == f"EIO\n{len(LINES)}\n", child.stderr.read()
    finally:
        holder.kill()
        holder.wait()


def test_an_inherited_placeholder_of_a_replaced_object_is_stale(store, own):
    with orphan(own, f'{sys.executable} -c "{WAITS}{READS}"') as child:
        assert child.stdout.readline() == "up\n"
        own.kill()
        store.put("models/m/lines.txt", LINES[::-1])
        own.start()
        child.stdin.write("go\n")
        child.stdin.close()
        assert child.stdout.read() == f"ESTALE\n{len(LINES)}\n", child.stderr.read()


# ---- sockets --------------------------------------------------------------------------------

def test_a_copy_goes_over_a_socket_and_a_placeholder_is_recognised(shared):
    out = python(shared, """
        import array, ctypes, os, socket, subprocess, sys
        D = os.environ["D"]
        a, b = socket.socketpair()
        fd = os.open(D + "/lines.txt", 0)
        os.read(fd, 5)
        plain = os.open("/etc/hostname", 0)
        socket.send_fds(a, [b"x"], [fd, plain, fd])
        _, got, _, _ = socket.recv_fds(b, 10, 5)
        print([os.readlink(f"/proc/self/fd/{x}")[:12] for x in got], os.read(got[0], 6), os.read(got[2], 6))
        print(os.read(fd, 6), os.readlink(f"/proc/self/fd/{fd}")[:12])
        # a receiver without the library
        bare = {"PATH": os.environ["PATH"], "ENABLE_CONNECTOR": "0"}
        code = "import os, socket, sys; s = socket.socket(fileno=0); fd = socket.recv_fds(s, 9, 1)[1][0]; print(len(os.read(fd, 1 << 30)))"
        child = subprocess.Popen([sys.executable, "-c", code], stdin=b, env=bare, stdout=subprocess.PIPE)
        socket.send_fds(a, [b"x"], [fd])
        print(child.communicate()[0])
        # a placeholder that was sent past us
        libc = ctypes.CDLL("libc.so.6")
        class iovec(ctypes.Structure):
            _fields_ = [("base", ctypes.c_char_p), ("len", ctypes.c_size_t)]
        class msghdr(ctypes.Structure):
            _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(iovec)),
                        ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                        ("flags", ctypes.c_int)]
        control = ctypes.create_string_buffer(array.array("Q", [20]).tobytes() + array.array("i", [1, 1, fd, 0]).tobytes(), 24)
        m = msghdr(None, 0, ctypes.pointer(iovec(b"x", 1)), 1, ctypes.cast(control, ctypes.c_void_p), 24, 0)
        assert libc.sendmsg(a.fileno(), ctypes.byref(m), 0) == 1
        got = socket.recv_fds(b, 10, 5)[1][0]
        print(os.readlink(f"/proc/self/fd/{got}")[:12], os.fstat(got).st_mode == os.fstat(fd).st_mode, len(os.pread(got, 100, 0)))
        """)
    at = LINES[5:11]
    assert out.splitlines() == [f"['/memfd:ossc-', '/etc/hostnam', '/memfd:ossc-'] {at!r} {at!r}", f"{at!r} /memfd:ossc:",
                                repr(b"%d\n" % (len(LINES) - 11)), "/memfd:ossc: True 100"]


# ---- asynchronous reads -----------------------------------------------------------------------

AIO = r"""
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char buf[3][64];
	int fd = open(argv[1], O_RDONLY), i;
	struct aiocb a = { .aio_fildes = fd, .aio_buf = buf[0], .aio_nbytes = 10, .aio_offset = 5 };
	struct aiocb b = { .aio_fildes = fd, .aio_buf = buf[1], .aio_nbytes = 10, .aio_offset = 5,
			   .aio_lio_opcode = LIO_READ };
	struct aiocb *list[] = { &b, NULL }, *wait[] = { &a };
	struct iocb c = { .aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_buf = (unsigned long)buf[2],
			  .aio_nbytes = 10, .aio_offset = 5 }, *cs[] = { &c };
	struct io_event event;
	aio_context_t ctx = 0;
	struct stat before, after;

	(void)argc;
	fstat(fd, &before);
	lseek(fd, 7, SEEK_SET);
	if (aio_read(&a) != 0)
		return 1;
	while (aio_error(&a) == EINPROGRESS)
		aio_suspend((const struct aiocb *const *)wait, 1, NULL);
	printf("%zd %.10s\n", aio_return(&a), buf[0]);
	if (lio_listio(LIO_WAIT, list, 2, NULL) != 0)
		return 2;
	printf("%zd %.10s\n", aio_return(&b), buf[1]);
	syscall(SYS_io_setup, 4, &ctx);
	if (syscall(SYS_io_submit, ctx, 1L, cs) != 1 || syscall(SYS_io_getevents, ctx, 1L, 1L, &event, NULL) != 1)
		return 3;
	printf("%d %.10s\n", (int)event.res, buf[2]);
	fstat(fd, &after);
	i = (int)read(fd, buf[0], 10);
	printf("%d %.10s %d\n", i, buf[0], before.st_ino == after.st_ino && before.st_dev == after.st_dev);
	return 0;
}
"""


def test_asynchronous_reads_get_the_right_bytes(shared, tmp_path):
    (tmp_path / "aio.c").write_text(AIO)
    subprocess.run(["gcc", "-O1", "-o", tmp_path / "aio", tmp_path / "aio.c", "-lrt"], check=True)
    out = shared.run(tmp_path / "aio", shared.path("lines.txt"))
    assert out.returncode == 0, out
    ten = LINES[5:15].decode()
    assert out.stdout.decode() == f"10 {ten}\n" * 3 + f"10 {LINES[7:17].decode()} 1\n"


# ---- dlopen -----------------------------------------------------------------------------------

def test_a_library_in_the_store_is_loaded_once(tmp_path, start_daemon, store):
    (tmp_path / "lib.c").write_text("int calls; int next_call(void) { return ++calls; }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "libx.so", tmp_path / "lib.c"], check=True)
    (tmp_path / "lib2.c").write_text("int next_call(void) { return -1; }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "liby.so", tmp_path / "lib2.c"], check=True)
    for name in "libx.so", "liby.so":
        store.put(f"models/m/{name}", (tmp_path / name).read_bytes())
    store.put("models/m/text.so", b"not a library\n")
    daemon = start_daemon(prefix="m/")
    out = python(daemon, """
        import ctypes, os
        D = os.environ["D"]
        x = ctypes.CDLL(D + "/libx.so")
        print(x.next_call())
        os.closerange(3, 100000)
        print(ctypes.CDLL(D + "/liby.so").next_call(), ctypes.CDLL(D + "/libx.so", os.RTLD_DEEPBIND | os.RTLD_NOW).next_call())
        os.chdir(D)
        print(ctypes.CDLL("./libx.so").next_call())
        for name in "none.so", "text.so":
            try:
                ctypes.CDLL(D + "/" + name)
            except OSError as e:
                print(e)
        """)
    lines = out.splitlines()
    assert lines[:3] == ["1", "-1 2", "3"]
    assert lines[3].endswith("none.so: cannot open shared object file: No such file or directory")
    assert "invalid ELF header" in lines[4] or "file too short" in lines[4]


def test_other_libraries_are_searched_for_as_their_caller_says(shared, tmp_path):
    """The loader takes the caller's RUNPATH: our hook must not stand between."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep.c").write_text("int deep(void) { return 42; }\n")
    (tmp_path / "main.c").write_text(
        '#include <dlfcn.h>\n#include <stdio.h>\nint main(void) { void *h = dlopen("libdeep.so", RTLD_NOW);\n'
        'int (*f)(void) = h ? dlsym(h, "deep") : 0; puts(h ? "" : dlerror()); return f ? f() : 1; }\n')
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "deep" / "libdeep.so", tmp_path / "deep.c"], check=True)
    subprocess.run(["gcc", "-o", tmp_path / "main", tmp_path / "main.c", "-Wl,--enable-new-dtags,-rpath,$ORIGIN/deep",
                    "-ldl"], check=True)
    out = shared.run(tmp_path / "main")
    assert out.returncode == 42, out


# ---- descriptors under other names and numbers ---------------------------------------------------

@pytest.mark.parametrize("path", ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "/proc/thread-self/fd/0"])
def test_a_path_of_a_descriptor_is_the_store_file(path, shared):
    assert sh(shared, f"cat {path} < $D/lines.txt") == LINES
    assert sh(shared, f"exec < $D/lines.txt; read a; head -n1 {path}; sort {path} | head -n1; wc -c < {path}; stat -Lc %s {path}") == \
        LINES.splitlines(True)[0] + sorted(LINES.splitlines(True))[0] + b"%d\n" % len(LINES) * 2


def test_paths_of_descriptors_have_offsets_of_their_own(shared):
    out = python(shared, """
        import os
        fd = os.open(os.environ["D"] + "/lines.txt", 0)
        os.read(fd, 5)
        for path in f"/proc/self/fd/{fd}", f"/proc/{os.getpid()}/fd/{fd}", f"/dev/fd/{fd}":
            other = os.open(path, 0)
            print(os.read(other, 4), os.stat(path).st_ino == os.fstat(fd).st_ino)
        pid = os.fork()
        if pid == 0:
            try:
                print(len(os.read(os.open(f"/proc/{os.getppid()}/fd/{fd}", 0), 100)))
            except PermissionError:
                print(100)
            os._exit(0)
        os.waitpid(pid, 0)
        """)
    assert out == "100\n" + f"{LINES[:4]!r} True\n" * 3 or out == f"{LINES[:4]!r} True\n" * 3 + "100\n"


CALLS = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SHOW(call) (errno = 0, shown = (long)(call), printf("%-60s %ld %s\n", #call, shown, errno ? strerrorname_np(errno) : ""))

int main(int argc, char **argv)
{
	char buf[100];
	struct iovec iov = { buf, 10 };
	int fd = open(argv[1], O_RDONLY), pipes[2], left = -1, path_only = open(argv[1], O_PATH);
	struct flock lock = { .l_type = F_RDLCK };
	struct flock wrong = { .l_type = F_WRLCK };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct epoll_event e = { .events = EPOLLIN };
	fd_set set;
	loff_t from = 5;
	long shown;

	(void)argc;
	SHOW(write(fd, buf, 1));
	SHOW(pwrite(fd, buf, 1, 0));
	SHOW(writev(fd, &iov, 1));
	SHOW(pwritev(fd, &iov, 1, 0));
	SHOW(syscall(SYS_write, fd, buf, 1));
	SHOW(ftruncate(fd, 0));
	SHOW(fallocate(fd, 0, 0, 10));
	SHOW(posix_fallocate(fd, 0, 10));
	SHOW(fsync(fd));
	SHOW(fdatasync(fd));
	SHOW(isatty(fd));
	SHOW(fcntl(fd, F_GETFL) & O_ACCMODE);
	SHOW(fcntl(fd, F_SETLK, &lock));
	SHOW(fcntl(fd, F_SETLK, &wrong));
	SHOW(fcntl(fd, F_OFD_SETLK, &lock));
	SHOW(fcntl(path_only, F_SETLK, &lock));
	SHOW(fcntl(path_only, F_GETFD));
	SHOW(lockf(fd, F_LOCK, 0));
	SHOW(lockf(fd, F_TEST, 0));
	SHOW(flock(fd, LOCK_SH));
	SHOW(flock(fd, LOCK_EX));
	SHOW(flock(fd, LOCK_UN));
	SHOW(flock(path_only, LOCK_SH));
	SHOW(read(path_only, buf, 1));
	SHOW(lseek(fd, 10, SEEK_SET));
	SHOW(ioctl(fd, FIONREAD, &left));
	SHOW(left);
	SHOW(poll(&p, 1, 0));
	SHOW(p.revents & POLLIN);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	SHOW(select(fd + 1, &set, NULL, NULL, NULL));
	SHOW(epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, fd, &e));
	SHOW(pipe(pipes));
	SHOW(splice(fd, NULL, pipes[1], NULL, 20, 0));
	SHOW(read(pipes[0], buf, 100));
	SHOW(memcmp(buf, "e 1 of a f", 5) != 0);
	SHOW(splice(fd, &from, pipes[1], NULL, 20, SPLICE_F_NONBLOCK));
	SHOW(from);
	SHOW(read(pipes[0], buf, 100));
	SHOW(splice(fd, NULL, pipes[1], NULL, 1 << 20, 0) > 60000);
	SHOW(splice(fd, NULL, pipes[1], NULL, 1 << 20, SPLICE_F_NONBLOCK));
	SHOW(splice(fd, NULL, 1, NULL, 20, 0));
	SHOW(splice(pipes[0], NULL, fd, NULL, 20, 0));
	SHOW(tee(fd, pipes[1], 10, 0));
	SHOW(dup2(fd, 0));
	SHOW(read(0, buf, 10));
	SHOW(close_range(0, 0, CLOSE_RANGE_CLOEXEC));
	SHOW(fcntl(0, F_GETFD));
	SHOW(read(0, buf, 10));
	SHOW(fcntl(fd, F_DUPFD, 100));
	SHOW(read(100, buf, 10));
	SHOW(lseek(fd, 0, SEEK_CUR) > 65500);
	SHOW(close(fd));
	SHOW(read(0, buf, 10));
	return 0;
}
"""


def test_calls_on_a_descriptor_answer_as_on_a_local_file(shared, tmp_path):
    (tmp_path / "calls.c").write_text(CALLS)
    subprocess.run(["gcc", "-O1", "-w", "-o", tmp_path / "calls", tmp_path / "calls.c"], check=True)
    (tmp_path / "lines.txt").write_bytes(LINES)
    command = f"{tmp_path}/calls $0 > {tmp_path}/out; cat {tmp_path}/out"
    bare = shared.run("sh", "-c", command, tmp_path / "lines.txt", preload=False)
    ours = shared.run("sh", "-c", command, shared.path("lines.txt"))
    assert ours.stdout.decode() == bare.stdout.decode(), ours.stderr
    assert bare.stdout.count(b"\n") > 50
