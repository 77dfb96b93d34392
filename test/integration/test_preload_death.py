"""The daemon dies, stops, comes back, or changes while programs read: the same version, or an error; no zeros, no hang."""
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from conftest import KEY
from daemon import BUILD, Daemon
from test_preload_process import (MiB, NAME, PROGRAMS, body, descriptors, nobody_is_left,  # noqa: F401
                                  own, plain, served, sessions, wait_until)

NOBODY = 65534
NO_DAEMON = {"OSSC_DAEMON": "/nonexistent/osscd"}


class Reader:
    """A program that reads NAME over and over."""

    def __init__(self, d, how, plain, role=1, path=None, **env):
        if how.startswith("capi-"):
            argv, env = [PROGRAMS / "capi_follow", how[5:], NAME], d.env(**env)
        else:
            argv, env = [PROGRAMS / "proc_reader", how, path or d.path(NAME)], d.preload(role, **env)
        self.how = how
        self.process = subprocess.Popen([*argv, plain / NAME], env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def line(self):
        got = self.process.stdout.readline().strip()
        assert got and not got.startswith(("wrong", "first", "new")), (self.how, got, self.process.stderr.read())
        return got

    def ask(self, what="now"):
        try:
            self.process.stdin.write(what + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise AssertionError(f"{self.how}: {self.process.communicate()}") from None

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0, self.process.stdout.read()


@contextlib.contextmanager
def readers(d, hows, plain, **kw):
    all = []
    try:
        for how in hows:
            all.append(Reader(d, how, plain, **kw))
        for r in all:
            assert r.line() == "reading"
        yield all
        for r in all:
            r.end()
    finally:
        for r in all:
            r.process.kill()
            r.process.wait()


GONE = ("EIO", "ENOENT", "ECONNREFUSED", "ECONNRESET", "ENOTCONN")  # the last three: of the C API
ALL = ["pread", "read", "mmap", "stdio", "reopen", "capi-pread", "capi-map"]


def restart(d):
    d.process = None
    d.start()


def test_20_deaths_while_everybody_reads(plain, own):
    d = own()
    with readers(d, ALL, plain, **NO_DAEMON) as all:
        for _ in range(20):
            d.kill()
            restart(d)
            for r in all:
                r.ask("once more")
            for r in all:
                assert r.line() == "right"


def test_without_a_daemon_what_is_not_there_is_an_error_and_the_mapping_stays(plain, own):
    d = own()
    with readers(d, ["mmap", "reopen", "capi-map"], plain, **NO_DAEMON) as all:
        d.kill()
        for r in all:
            r.ask()  # the pass under way may have begun before
            r.line()
            r.ask()
            assert r.line() in ("right", *GONE)
        restart(d)
        for r in all:
            r.ask("once more")
            assert r.line() == "right"


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_primary_starts_the_daemon_anew(how, served, plain):
    with Daemon.unstarted(served, {"cache": {"size": "256MiB", "chunkSize": "1MiB"}}, prefix="p/", key=KEY) as d:
        with readers(d, ["pread", "mmap", "reopen"], plain) as all:
            for _ in range(3):
                old = d.spawned_pid()
                os.kill(old, getattr(signal, how))
                wait_until(lambda: d.spawned_pid() not in (None, old), "no new daemon")
                for r in all:
                    r.ask("once more")
                for r in all:
                    assert r.line() == "right"


# Reads the first bytes, waits for a line, then reads the rest: not all of it fits the cache.
REST = """
    import errno, hashlib, mmap, os, sys
    path = os.environ["D"] + "/" + sys.argv[1]
    def result(call):
        try:
            return call()
        except OSError as e:
            return errno.errorcode[e.errno]
    fd = os.open(path, os.O_RDONLY)
    stream = open(path, "rb")
    first = os.read(fd, 1000) + stream.read(1000)
    print("began", flush=True)
    sys.stdin.readline()
    def rest():
        h = hashlib.md5(first[:1000])
        while piece := os.read(fd, 1 << 20):
            h.update(piece)
        return h.hexdigest()
    print(result(rest), result(lambda: hashlib.md5(first[1000:] + stream.read()).hexdigest()),
          result(lambda: hashlib.md5(mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)).hexdigest()), flush=True)
    """


@contextlib.contextmanager
def reader_of_the_rest(d, name):
    p = subprocess.Popen([sys.executable, "-c", textwrap.dedent(REST), name], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, env={**d.preload(**NO_DAEMON), "D": str(d.model_dir)}, text=True)
    try:
        assert p.stdout.readline() == "began\n"
        yield lambda: p.communicate("go\n", timeout=100)[0].split()
    finally:
        p.kill()
        p.wait()


SMALL = {"cache": {"size": "8MiB", "chunkSize": "1MiB"}}


@pytest.mark.parametrize("changed", [False, True])
def test_after_the_return_it_is_the_same_version_or_estale(changed, served, own):
    served.put("models/p/changing", body(5, 24 * MiB))
    d = own(SMALL)
    with reader_of_the_rest(d, "changing") as rest:
        d.kill()
        if changed:
            served.put("models/p/changing", body(7, 24 * MiB))
        restart(d)
        same = hashlib.md5(body(5, 24 * MiB)).hexdigest()
        assert rest() == ["ESTALE" if changed else same] * 3
    assert d.run("cat", d.path("changing")).stdout == body(7 if changed else 5, 24 * MiB)


def test_a_stopped_daemon_is_waited_for(plain, own):
    """SIGSTOP, then SIGCONT: cold bytes arrive after it, and nobody is told anything else."""
    d = own()
    assert d.run("ls", d.path()).returncode == 0
    d.process.send_signal(signal.SIGSTOP)
    try:
        cold = subprocess.Popen(["sha256sum", d.path(NAME)], env=d.preload(), stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            cold.wait(1)
    finally:
        d.process.send_signal(signal.SIGCONT)
    assert cold.communicate(timeout=30)[0][:64].decode() == hashlib.sha256((plain / NAME).read_bytes()).hexdigest()


def test_a_stopped_reader_keeps_what_it_mapped(served, plain, own):
    """While it sleeps others push everything else out of the cache."""
    d = own(SMALL)
    with readers(d, ["mmap", "pread"], plain) as all:
        for r in all:
            r.process.send_signal(signal.SIGSTOP)
        for _ in range(2):
            assert d.run("cat", d.path("big.bin")).stdout == body(3, 24 * MiB)
        for r in all:
            r.process.send_signal(signal.SIGCONT)
            r.ask("once more")
            assert r.line() == "right"


@pytest.mark.skipif(os.geteuid() != 0, reason="a daemon of another user takes root")
def test_the_daemon_of_another_user_is_not_followed(own):
    d = own(SMALL)
    with reader_of_the_rest(d, "big.bin") as rest:
        d.kill()
        for path in (d.dir, *d.dir.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        other = subprocess.Popen([BUILD / "osscd", "--config", d.conf_path, "--socket", d.socket],
                                 user=NOBODY, group=NOBODY, extra_groups=[], stdin=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE)
        try:
            wait_until(lambda: d.answers() or other.poll() is not None, "no daemon")
            assert other.poll() is None, other.stderr.read()
            assert set(rest()) <= {"EACCES", "EIO"}
        finally:
            other.kill()
            other.wait()


# ---- the link is cut ------------------------------------------------------------------------------------

CUT = """
    import ctypes, hashlib, mmap, os, sys
    D = os.environ["D"]
    def digest(x): return hashlib.md5(x).hexdigest()
    fd = os.open(D + "/w.bin", os.O_RDONLY)
    maps = [mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ), mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ)]
    first = digest(maps[0])
    close = ctypes.CDLL("libc.so.6").close    # past the library
    def cut():
        for other in os.listdir("/proc/self/fd"):
            try:
                if int(other) > 2 and os.readlink("/proc/self/fd/" + other).startswith("socket:"):
                    close(int(other))
            except FileNotFoundError:
                pass
    how = sys.argv[1]
    if how == "again":
        cut()
        print(digest(open(D + "/many/1", "rb").read()))     # a new session
    if how == "child":
        if os.fork() != 0:
            os._exit(0)
    if how != "open":
        cut()
    print("cut", flush=True)
    sys.stdin.readline()
    print(*{digest(m) == first for m in maps}, flush=True)
    sys.stdin.readline()
    print(*{digest(m) == first for m in maps}, digest(open(D + "/w.bin", "rb").read()) == first, flush=True)
    sys.stdin.readline()
    """


@pytest.mark.parametrize("how", ["cut", "again", "child"])
def test_a_mapping_outlives_its_link(how, served, own):
    """The control socket is closed by its number; others then push everything out of a small cache."""
    d = own({**SMALL, "expireTimeSec": 0})
    assert d.run("cat", d.path("big.bin"), d.path("many/1")).returncode == 0
    wait_until(lambda: sessions(d) <= 1, "sessions stay")
    before = descriptors(d.pid)
    p = subprocess.Popen([sys.executable, "-c", textwrap.dedent(CUT), how], env={**d.preload(), "D": str(d.model_dir)},
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        while (line := p.stdout.readline()) != "cut\n":
            assert line
        wait_until(lambda: "still mapped" in d.log(), "the daemon did not notice")
        for _ in range(2):
            for _ in range(2):
                assert d.run("cat", d.path("big.bin")).stdout == body(3, 24 * MiB)
            p.stdin.write("go\n")
            p.stdin.flush()
            assert p.stdout.readline().split()[0] == "True"
        p.communicate("end\n", timeout=30)
        nobody_is_left(d, before)
    finally:
        p.kill()
        p.wait()


READ_ON = """
    import ctypes, hashlib, os, sys
    D = os.environ["D"]
    fd = os.open(D + "/w.bin", os.O_RDONLY)
    first = os.pread(fd, 1 << 24, 0)
    close = ctypes.CDLL("libc.so.6").close
    for other in os.listdir("/proc/self/fd"):
        try:
            if int(other) > 2 and os.readlink("/proc/self/fd/" + other).startswith("socket:"):
                close(int(other))
        except FileNotFoundError:
            pass
    print("cut", flush=True)
    sys.stdin.readline()
    if sys.argv[1] == "again":
        print(len(open(D + "/many/60", "rb").read()))
    print(sum(os.pread(fd, 5000, at) != first[at:at + 5000] for at in range(0, len(first), 5000)), flush=True)
    """


# Holds the mount, then, asked to, many small files.
HOLD_MANY = """
    import os, sys
    D = os.environ["D"]
    text = open(D + "/text")
    print("holds", flush=True)
    sys.stdin.readline()
    files = [open(f"{D}/many/{i}", "rb") for i in range(64)]
    print(sum(len(f.read()) for f in files), flush=True)
    sys.stdin.readline()
    """


@pytest.mark.parametrize("how", ["on", "again"])
def test_an_open_file_outlives_its_link(how, own):
    """It reads by the words of its object, which stay that object's."""
    d = own({"expireTimeSec": 0})

    def start(code, *argv):
        return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *argv], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, env={**d.preload(), "D": str(d.model_dir)}, text=True)

    holder = start(HOLD_MANY)
    assert holder.stdout.readline() == "holds\n"
    p = start(READ_ON, how)
    try:
        assert p.stdout.readline() == "cut\n"
        wait_until(lambda: "the client is gone" in d.log(), "the daemon did not notice")
        holder.stdin.write("many\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "6400000\n"
        assert p.communicate("go\n", timeout=60)[0].split()[-1] == "0"
        holder.communicate("end\n", timeout=60)
    finally:
        for process in p, holder:
            process.kill()
            process.wait()
