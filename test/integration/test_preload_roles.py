"""ENABLE_CONNECTOR=1 and =2: who starts the daemon, who waits, and what stays when somebody goes."""
import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import KEY
from daemon import BUILD, Daemon
from test_preload_process import served, wait_until  # noqa: F401


@contextlib.contextmanager
def holder(d, role=1, **env):
    """A process that has read a file and lives on until its input ends."""
    code = ("import os, sys\nf = open(os.environ['MODEL_DIR'] + '/text', 'rb')\nprint(f.read(), flush=True)\n"
            "sys.stdin.readline()\nprint(open(os.environ['MODEL_DIR'] + '/many/3', 'rb').read()[:4].hex(), flush=True)")
    p = subprocess.Popen([sys.executable, "-c", code], env=d.preload(role, **env), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield p
    finally:
        p.kill()
        p.communicate()


TEXT = "b'one\\ntwo\\nthree\\n'\n"


@pytest.fixture
def node(served):
    with Daemon.unstarted(served, {"cache": {"size": "64MiB"}}, prefix="p/", key=KEY) as d:
        yield d


def daemons(d):
    """Processes that listen on this socket's path."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            argv = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
            state = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]
            if argv[0].endswith(b"/osscd") and str(d.socket).encode() in argv and state != "Z":
                found.append(int(pid))
    return found


def test_ten_primaries_at_once_have_one_daemon(node):
    readers = [subprocess.Popen(["cat", node.path("text")], env=node.preload(), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE) for _ in range(10)]
    for r in readers:
        out, err = r.communicate(timeout=60)
        assert (r.returncode, out) == (0, b"one\ntwo\nthree\n"), err
    wait_until(lambda: len(daemons(node)) == 1, "more than one daemon")


def test_no_daemon_is_started_where_others_may_write(node):
    node.dir.chmod(0o777)
    for argv, preload in (["cat", node.path("text")], True), ([BUILD / "ossc", "ls"], False):
        out = node.run(*argv, preload=preload)
        assert out.returncode == 1 and out.stdout == b"" and b"others may write in" in out.stderr, out
    node.dir.chmod(0o700)
    assert daemons(node) == [] and not node.socket.exists()
    assert node.run("cat", node.path("text")).returncode == 0


def test_a_secondary_that_comes_first_waits_for_the_primary(node):
    """Also for the daemon, which only the primary starts."""
    with holder(node, 2, OSSC_WAIT_SEC="60") as second:
        time.sleep(0)
        assert second.poll() is None and not node.socket.exists()
        with holder(node, 1) as first:
            assert first.stdout.readline() == TEXT
            assert second.stdout.readline() == TEXT


def test_a_secondary_that_began_before_the_directory_lists_it(served):
    """Ranks start together: the primary makes MODEL_DIR after the others have looked for it."""
    code = ("import os, sys\nos.path.exists('nothing')\nprint('looked', flush=True)\nsys.stdin.readline()\n"
            "print(sorted(os.listdir(os.environ['MODEL_DIR'])))")
    with Daemon(served, prefix="p/many/", key=KEY) as d:
        second = subprocess.Popen([sys.executable, "-c", code], env=d.preload(2), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert second.stdout.readline() == "looked\n" and not d.model_dir.exists()
            assert d.run("ls", d.model_dir).stdout.count(b"\n") == 64
            out, err = second.communicate("go\n", timeout=60)
            assert out == f"{sorted(str(i) for i in range(64))}\n", err
        finally:
            second.kill()
            second.communicate()


def test_a_secondary_waits_no_longer_than_it_was_told(node):
    start = time.monotonic()
    out = node.run("cat", node.path("text"), role=2, env={"OSSC_WAIT_SEC": "1"})
    assert out.returncode == 1 and b"no daemon listens" in out.stderr and time.monotonic() - start < 20
    assert not node.socket.exists()


def test_a_mount_lives_while_secondaries_use_it(node):
    with holder(node, 1) as first:
        assert first.stdout.readline() == TEXT
        with holder(node, 2) as second:
            assert second.stdout.readline() == TEXT
            first.kill()
            first.wait()
            wait_until(lambda: f'"pid":{first.pid},' not in node.ossc("status", "--json").stdout.decode().replace(" ", ""),
                       "the primary's session stays")
            with holder(node, 2, OSSC_WAIT_SEC="5") as third:
                assert third.stdout.readline() == TEXT
                second.stdin.write("go\n")
                second.stdin.flush()
                assert len(second.stdout.readline()) == 9


def test_a_primary_that_went_leaves_its_mount_to_who_comes_soon(node):
    assert node.run("cat", node.path("text")).returncode == 0
    out = node.run("cat", node.path("text"), role=2, env={"OSSC_WAIT_SEC": "5"})
    assert out.stdout == b"one\ntwo\nthree\n" or b"no primary" in out.stderr, out.stderr


def test_a_second_primary_attaches_and_the_log_says_so(node):
    with holder(node, 1) as first:
        assert first.stdout.readline() == TEXT
        with holder(node, 1) as second:
            assert second.stdout.readline() == TEXT
            assert len(daemons(node)) == 1
            wait_until(lambda: "attached to the mount that others have made" in node.log(), "not said")


def test_two_directories_of_one_path(node):
    """MODEL_DIR is the client's: the same mount may be shown at two places."""
    with holder(node, 1) as first:
        assert first.stdout.readline() == TEXT
        with holder(node, 1, MODEL_DIR=str(node.dir / "other")) as second:
            assert second.stdout.readline() == TEXT
        with holder(node, 2, MODEL_DIR=str(node.dir / "third")) as third:
            assert third.stdout.readline() == TEXT


@pytest.mark.parametrize("role", ["3", "yes", "01", "-1", " 1"])
def test_a_wrong_role_is_said_and_nothing_is_hooked(role, node):
    out = node.run("cat", node.path("text"), role=role)
    assert out.returncode == 1 and b"No such file" in out.stderr and b"ENABLE_CONNECTOR must be" in out.stderr


def test_off_is_off(node):
    out = node.run("cat", node.path("text"), role="0")
    assert out.returncode == 1 and out.stderr.count(b"\n") == 1 and b"No such file" in out.stderr
