"""What a started program is given, and what starting it leaves behind in the one that did."""
import os
import subprocess
import sys

import pytest

from conftest import KEY
from daemon import Daemon
from store import Store
from test_preload_travel import LINES, python, sh

LONG = "/".join(["a-directory-with-a-name-that-takes-sixty-bytes-all-by-itself"] * 5) + "/lines.txt"


@pytest.fixture(scope="module")
def shared():
    with Store(keys=[KEY], buckets=["models"]) as store:
        store.put("models/m/lines.txt", LINES)
        store.put(f"models/m/{LONG}", LINES)
        with Daemon(store, {"cache": {"size": "64MiB"}}, prefix="m/", key=KEY) as daemon:
            daemon.dir.chmod(0o711)
            yield daemon


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_another_user_is_given_no_keys_and_reads_a_copy(shared):
    """As a server that drops its privileges and starts a user's program with a clean environment."""
    out = python(shared, """
        import os, subprocess
        fd = os.open(os.environ["D"] + "/lines.txt", os.O_RDONLY)
        print(os.read(fd, 2))
        for user in None, 65534:
            out = subprocess.run(["/usr/bin/env"], env={"A": "1"}, user=user, capture_output=True, text=True).stdout
            print(sorted(x for x in out.split() if x.startswith(("A=", "ENABLE", "OSS_ACCESS"))))
        for env in {"A": "1"}, None:
            print(subprocess.run(["cat"], stdin=os.dup(fd), env=env, user=65534, capture_output=True).stdout[:4])
            os.lseek(fd, 2, 0)
        """).splitlines()
    ak, sk = KEY[0], KEY[1]
    assert out == ["b'li'", str(["A=1", "ENABLE_CONNECTOR=1", f"OSS_ACCESS_KEY_ID={ak}", f"OSS_ACCESS_KEY_SECRET={sk}"]),
                   "['A=1']", "b'ne 1'", "b'ne 1'"]


def test_a_program_with_other_keys_reads_a_copy(shared):
    assert sh(shared, "OSS_ACCESS_KEY_ID=another OSS_ACCESS_KEY_SECRET=wrong cat < $D/lines.txt") == LINES
    assert sh(shared, "OSS_ENDPOINT=http://localhost:1 head -n1 < $D/lines.txt") == LINES.splitlines(True)[0]


def test_an_empty_environment_stays_empty_where_the_store_was_not_asked(shared):
    """`env` itself does not read its input: that it is a store file is no reason to attach."""
    assert sh(shared, "env -i env < $D/lines.txt") == b""
    assert sh(shared, "env -i cat < $D/lines.txt") == LINES


def test_a_program_that_does_not_read_its_input_never_asks_for_the_daemon(shared):
    log = shared.dir / "strace"
    out = shared.run("strace", "-f", "-e", "trace=connect,execve", "-o", log, "bash", "-c",
                     "exec 0< $D/lines.txt; exec true", env={"D": str(shared.model_dir)})
    assert out.returncode == 0, out.stderr
    assert "connect(" not in log.read_text().rpartition("execve(")[2]


def test_reads_cost_no_system_call_after_another_program_was_started(shared):
    """A vfork child closes what it does not hand on: the parent's offset stays in its memory."""
    log = shared.dir / "strace"
    out = shared.run("strace", "-e", "trace=lseek,kill,rt_sigprocmask", "-o", log, sys.executable, "-c", """if 1:
        import os, subprocess, sys
        fd = os.open(sys.argv[1], os.O_RDONLY)
        os.read(fd, 10)
        for i in range(3):
            assert subprocess.run(["true"]).returncode == 0
        os.kill(os.getpid(), 0)
        got = b"".join(os.read(fd, 10) for i in range(100))
        os.kill(os.getpid(), 0)
        assert got == os.pread(fd, 1000, 10)
        """, shared.path("lines.txt"))
    assert out.returncode == 0, out.stderr
    assert "lseek" not in log.read_text().split("kill(")[1]


VFORK = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a vfork child, numbers change hands between two open descriptions of one object. */
int main(int argc, char **argv)
{
	int a = open(argv[1], O_RDONLY), b = open(argv[1], O_RDONLY), status, how;
	char buf[8];

	for (how = 0; how < 4; how++) {
		lseek(a, 5, SEEK_SET);
		lseek(b, 100, SEEK_SET);
		fflush(stdout);
		if (vfork() == 0) {
			if (how == 0)
				dup2(a, b);
			if (how == 1) {
				close(b);
				fcntl(a, F_DUPFD, b);
			}
			if (how == 2)
				dup2(b, a);
			if (how == 3) {
				close(b);
				open(argv[1], O_RDONLY);
			}
			execl("/bin/sh", "sh", "-c", "head -c 6 <&4", NULL);
			_exit(1);
		}
		wait(&status);
		printf(" %d %ld %ld\n", status, (long)lseek(a, 0, SEEK_CUR) % 2, (long)lseek(b, 0, SEEK_CUR) % 2);
	}
	return read(a, buf, 0);
}
"""


def test_numbers_that_change_hands_in_a_vfork_child(shared, tmp_path):
    (tmp_path / "v.c").write_text(VFORK)
    (tmp_path / "plain").write_bytes(LINES)
    subprocess.run(["gcc", "-O1", "-w", "-o", tmp_path / "v", tmp_path / "v.c"], check=True)
    plain = shared.run(tmp_path / "v", tmp_path / "plain")
    assert shared.run(tmp_path / "v", shared.path("lines.txt")).stdout == plain.stdout
    assert plain.stdout.count(b"\n") >= 4


@pytest.mark.parametrize("how", ["cat < $D/$LONG", "exec cat < $D/$LONG",
                                 "python3 -c 'import os, subprocess; f = open(os.environ[\"D\"] + \"/\" + os.environ[\"LONG\"]); "
                                 "subprocess.run([\"cat\"], stdin=f)'"])
def test_a_path_too_long_for_a_name_travels_as_a_copy(how, shared):
    assert sh(shared, how, env={"LONG": LONG}) == LINES


def test_descriptors_of_another_process_by_their_paths(shared):
    script = """
        exec 3< $D/lines.txt; read a <&3
        cat /proc/$$/fd/3 | head -n1
        stat -Lc %s /proc/$$/fd/3
        python3 -c 'import os, sys; fd = os.open(sys.argv[1], 0); print(os.read(fd, 6), os.fstat(fd).st_size)' /proc/$$/fd/3
        busybox head -n1 < /proc/$$/fd/3
        head -n1 <&3
        """
    lines = LINES.splitlines(True)
    assert sh(shared, script) == lines[0] + b"%d\n" % len(LINES) + b"%r %d\n" % (LINES[:6], len(LINES)) + lines[0] + lines[1]


def test_a_store_file_is_no_target_of_sendfile(shared):
    assert python(shared, """
        import os
        fd = os.open(os.environ["D"] + "/lines.txt", os.O_RDONLY)
        for source in fd, os.open("/etc/hostname", os.O_RDONLY):
            try:
                os.sendfile(fd, source, 0, 5)
            except OSError as e:
                print(e.errno)
        """) == "9\n9\n"


def test_no_path_of_a_descriptor_shows_the_placeholder(shared, tmp_path):
    """Roundabout paths, which the kernel takes to the empty memory file: for root it could be read."""
    out = python(shared, f"""
        import os
        D = os.environ["D"]
        fd = os.open(D + "/lines.txt", os.O_RDONLY)
        os.read(fd, 3)
        os.symlink("/proc/self/fd", "{tmp_path}/link")
        fds = os.open("/proc/self/fd", os.O_RDONLY)

        def show(path, opened=os.open, **how):
            try:
                got = opened(path, os.O_RDONLY, **how)
                print(os.read(got, 6), os.fstat(got).st_size)
                os.close(got)
            except PermissionError:
                print(b"line 1", os.fstat(fd).st_size)

        show(f"/dev//fd/{{fd}}")
        show(f"//proc/self/fd/{{fd}}")
        show(f"{tmp_path}/link/{{fd}}")
        show(str(fd), dir_fd=fds)
        os.chdir("/proc/self/fd")
        show(str(fd))
        os.dup2(fd, 0)
        show("/dev/./stdin")
        os.chdir("/")
        """)
    assert out == f"{LINES[:6]!r} {len(LINES)}\n" * 6


CLONE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int go[2], fd;
static char stack[65536];

static int child(void *arg)
{
	char buf[6];
	ssize_t n;

	read(go[0], buf, 1);
	n = read(fd, buf, sizeof(buf));
	printf("child %zd %.*s\n", n, (int)n, buf);
	fflush(stdout);
	_exit(0);
}

/* Children by other ways than fork() read on while their parent goes to another file. */
int main(int argc, char **argv)
{
	char buf[7];
	int how, other;
	pid_t pid;

	for (how = 0; how < 3; how++) {
		pipe(go);
		fd = open(argv[1], O_RDONLY);
		if (how == 0)
			pid = clone(child, stack + sizeof(stack), SIGCHLD, NULL);
		else if (how == 1)
			pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		else
#ifdef SYS_fork
			pid = syscall(SYS_fork);
#else
			pid = fork();
#endif
		if (pid == 0)
			child(NULL);
		close(fd);
		other = open(argv[1], O_RDONLY);
		read(other, buf, sizeof(buf));
		write(go[1], "x", 1);
		waitpid(pid, NULL, 0);
		printf("parent %ld\n", (long)lseek(other, 0, SEEK_CUR));
		fflush(stdout);
		close(other);
	}
	return 0;
}
"""


def test_cloned_children_keep_their_offset(shared, tmp_path):
    (tmp_path / "clone.c").write_text(CLONE)
    subprocess.run(["gcc", "-O1", "-w", "-o", tmp_path / "clone", tmp_path / "clone.c"], check=True)
    out = shared.run(tmp_path / "clone", shared.path("lines.txt"))
    assert out.stdout.decode() == f"child 6 {LINES[:6].decode()}\nparent 7\n" * 3
