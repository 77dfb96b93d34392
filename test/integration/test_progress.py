"""What a primary's user sees of the download: one live line on a terminal, a line now and then elsewhere.

A store that is held back keeps the download going for as long as a story needs; nothing is timed."""
import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from daemon import BUILD
from test_cli import on_a_terminal, refused

MiB = 1 << 20
SIZE = 64 * MiB
# Few connections of 100 kB/s: nothing is over before the store is told to let go.
CONF = {"verify": "off", "cache": {"chunkSize": "1MiB", "size": "256MiB"}, "prefetch": {"vcpus": 1, "workers": 4}}
LIVE = r"oss-connector: [\d.]+ k?M?B of 67.1 MB(, [\d.]+ k?M?B/s(, [^;\n]+ left)?)?(; [^\n]+)?"
END = r"oss-connector: 67.1 MB in [\d.]+ s, \d\.\d\d GB/s, \d+ requests?, \d+ retr(y|ies)"


@pytest.fixture
def d(start_daemon, store):
    store.synth("models/m/a.bin", SIZE)
    store.limits(per_connection_bps=100_000)
    return start_daemon(CONF, prefix="m/")


@contextlib.contextmanager
def program(argv, env, **streams):
    p = subprocess.Popen([str(a) for a in argv], env=env, stdin=subprocess.PIPE, bufsize=0,  # select() sees all
                         **{"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **streams})
    try:
        yield p
    finally:
        p.kill()
        p.communicate()


def read_line(p, timeout=60):
    assert select.select([p.stderr], [], [], timeout)[0], "nothing is said"
    return p.stderr.readline().decode()


# Reads a file, and stays until it is told to go: so that the end of the download is told before its own.
READS = "import sys; assert len(open(sys.argv[1], 'rb').read()) == %d; open(sys.argv[2]).read()" % SIZE


def read_to_end(p):
    """The lines up to the one that the download ends with."""
    lines = []
    while not lines or not re.fullmatch(END + "\n", lines[-1]):
        lines.append(read_line(p))
        assert lines[-1] != "", lines
    return lines


def let_go(store):
    store.limits(per_connection_bps=0)


def test_a_line_now_and_then_and_one_at_the_end(d, store):
    with program([sys.executable, "-c", READS, d.path("a.bin"), "/dev/stdin"], d.preload(OSSC_PROGRESS="0.1")) as p:
        shown = [read_line(p) for _ in range(3)]
        let_go(store)
        *more, end = read_to_end(p)
        assert p.communicate(timeout=60)[1] == b"" and p.returncode == 0
    for line in shown + more:
        assert re.fullmatch(LIVE, line.rstrip("\n")), line
    download = next(m["download"] for m in d.status()["mounts"])
    assert (download["state"], download["bytes"], download["total"]) == ("done", SIZE, SIZE)
    assert f"{download['requests']} requests" in end


def test_on_a_terminal_one_line_is_redrawn_and_cleared(d, store, tmp_path):
    os.mkfifo(tmp_path / "go")
    argv = [sys.executable, "-c", READS, d.path("a.bin"), tmp_path / "go"]
    with on_a_terminal(argv, d.preload(OSSC_PROGRESS="0.1"), "stderr") as (p, read):
        read(lambda text: text.count("oss-connector") >= 3, timeout=60)
        let_go(store)
        read(lambda text: text.endswith("\r\n"), timeout=60)
        (tmp_path / "go").write_text("")
        shown = read(lambda text: False)
        assert p.wait(60) == 0
    live, _, end = shown.rpartition("\r\x1b[K")
    assert re.fullmatch(END + r"\r\n", end), shown
    for line in live.split("\r\x1b[K"):
        assert (line == "" or re.fullmatch(LIVE + "\r", line)) and len(line) <= 100, shown


def test_a_terminal_that_is_resized_gets_lines_of_its_new_width(d):
    with on_a_terminal(["cat", d.path("a.bin")], d.preload(OSSC_PROGRESS="0.1"), "stderr") as (p, read):
        def last(text):
            return text.split("\r\x1b[K")[-2 if text.count("\r\x1b[K") > 1 else -1].rstrip("\r")
        read(lambda text: len(last(text)) > 40, timeout=60)
        read.resize(30)
        read(lambda text: last(text).startswith("oss-connector: ") and len(last(text)) == 29, timeout=60)
        read.resize(100)
        read(lambda text: len(last(text)) > 40, timeout=60)


def test_it_can_be_turned_off_and_needs_a_standard_error(d, store):
    cat = ["cat", d.path("a.bin")]
    closed = ["sh", "-c", 'exec 2>&-; exec cat "$0"', d.path("a.bin")]
    with program(cat, d.preload(OSSC_PROGRESS="off")) as off, program(cat, d.preload(OSSC_PROGRESS="0")) as zero, \
         program(closed, d.preload(OSSC_PROGRESS="0.1")) as deaf, program(cat, d.preload(OSSC_PROGRESS="0.1")) as other:
        read_line(other)  # so all have waited for as long
        let_go(store)
        for p in off, zero, deaf:
            assert p.stderr.read() == b"" and p.wait(60) == 0
        other.stderr.read()


def test_of_several_programs_and_their_children_one_tells(d, store):
    argv = [sys.executable, "-c", f"import os; os.fork(); os.fork(); {READS}", d.path("a.bin"), "/dev/stdin"]
    env = d.preload(OSSC_PROGRESS="0.1")
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(program(argv, env)) for _ in range(3)]
        readable = select.select([p.stderr for p in running], [], [], 60)[0]
        assert readable
        let_go(store)
        read_to_end(*(p for p in running if p.stderr in readable))
        assert [p.communicate(timeout=60)[1] for p in running] == [b""] * 3


def test_daemons_at_one_path_are_told_of_each(d, start_daemon, store, tmp_path):
    """As in two containers on one network, each with a folder of its own at the same place."""
    other, place = start_daemon(CONF, prefix="m/"), tmp_path / "run"
    with contextlib.ExitStack() as stack:
        for one in d, other:
            place.unlink(missing_ok=True)
            place.symlink_to(one.dir)
            env = one.preload(OSSC_PROGRESS="0.1", OSSC_SOCKET=str(place / "osscd.sock"))
            assert re.fullmatch(LIVE, read_line(stack.enter_context(program(["cat", one.path("a.bin")], env))).rstrip("\n"))


CHILDREN = """
import ctypes, os, signal, sys
if sys.argv[2] == "adopts":
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: as a container's first process is
seen = []
signal.signal(signal.SIGCHLD, lambda *_: seen.append(1))
data = open(sys.argv[1], "rb").read()
os.close(2)
sys.stdin.readline()
try:
    print(len(data), seen, os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print(len(data), seen, "no child")
"""


@pytest.mark.parametrize("who,left", [("is plain", "no child"), ("adopts", "(0, 0)")])
def test_the_program_has_no_child_that_ends(who, left, d, store):
    with program([sys.executable, "-c", CHILDREN, d.path("a.bin"), who], d.preload(OSSC_PROGRESS="0.1"),
                 stdout=subprocess.PIPE) as p:
        read_line(p)
        let_go(store)
        p.stderr.read()  # to its end: the teller is over, and the program has closed it
        assert p.communicate(b"go\n", timeout=60)[0].decode().strip() == f"{SIZE} [] {left}"
        assert p.returncode == 0


def test_a_program_that_ends_takes_it_along(d):
    with program(["cat", d.path("a.bin")], d.preload(OSSC_PROGRESS="0.1")) as p:
        read_line(p)
        p.kill()
        p.stderr.read()  # an end of file: nobody holds it any more
        assert p.wait(60) == -signal.SIGKILL


REDIRECTS = """
import os, sys
f = open(sys.argv[1], "rb", buffering=0)
f.read(1 << 18)
sys.stdin.readline()
log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
os.dup2(log, 2)
print("done", flush=True)
sys.stdin.readline()
while f.read(1 << 20):
    pass
"""


def test_nothing_goes_where_the_program_points_its_standard_error_later(d, store, tmp_path):
    with program([sys.executable, "-c", REDIRECTS, d.path("a.bin"), tmp_path / "log"],
                 d.preload(OSSC_PROGRESS="0.1"), stdout=subprocess.PIPE) as p:
        read_line(p)
        p.stdin.write(b"go\n")
        p.stdin.flush()
        assert p.stdout.readline() == b"done\n"
        p.stderr.read()  # ends: the teller sees that the program has left it
        assert [m["prefetch"] for m in d.status()["mounts"]] == ["running"]  # and not because all is done
        let_go(store)
        p.stdin.write(b"go\n")
        p.stdin.flush()
        assert p.wait(60) == 0
    assert (tmp_path / "log").read_bytes() == b""


# ---- by hand, and what is waited for ------------------------------------------------------------------


def follow(d):
    return program([BUILD / "ossc", "progress"], d.env(OSSC_PROGRESS="0.1"))


def wait_for_line(p, words, timeout=60):
    deadline = time.monotonic() + timeout
    seen = []
    while not any(words in line for line in seen):
        assert time.monotonic() < deadline, seen
        seen.append(read_line(p))


def test_it_says_that_the_listing_is_waited_for(d, store):
    store.fault("LIST models", "stall_at", at=0)
    with program([BUILD / "ossc", "ls"], d.env()), follow(d) as p:
        wait_for_line(p, "waits for the store's listing")


def test_by_hand_it_waits_for_what_has_not_begun_and_tells_of_what_is_over(d, store):
    with follow(d) as p:
        wait_for_line(p, "waits for a program that reads it")
        assert d.ossc("mount").returncode == 0
        wait_for_line(p, "of 67.1 MB")
        let_go(store)
        *_, end = p.stderr.read().decode().splitlines()
        assert re.fullmatch(END, end) and p.wait(60) == 0
    again = d.ossc("progress")
    assert again.stderr.decode() == end + "\n" and again.returncode == 0


def test_it_goes_on_with_the_daemon_that_the_program_starts_when_one_dies(d, store):
    with contextlib.ExitStack() as stack:
        p = stack.enter_context(program([sys.executable, "-c", READS, d.path("a.bin"), "/dev/stdin"],
                                        d.preload(OSSC_PROGRESS="0.1")))
        read_line(p)
        stack.callback(d.stop_spawned)
        d.kill()
        let_go(store)
        read_to_end(p)
        assert p.communicate(timeout=60)[1] == b"" and p.returncode == 0


@pytest.mark.parametrize("trouble,words", [
    (lambda store: store.fault("GET models/*", "stall_at", at=0), "waits for the first bytes"),
    (lambda store: store.fault("GET models/*", "status", status=503), "asks again: the store answered 503"),
    (lambda store: store.fault("GET models/*", "close_before_head"), "asks again: "),
], ids=["slow", "503", "closed"])
def test_it_says_what_is_waited_for(trouble, words, d, store):
    assert d.ossc("ls").returncode == 0
    trouble(store)
    assert d.ossc("prefetch").returncode == 0
    with follow(d) as p:
        wait_for_line(p, words)


def test_of_more_than_the_cache_holds_it_waits_for_an_open_and_then_for_readers(start_daemon, store):
    store.synth("models/m/a.bin", SIZE)
    d = start_daemon({**CONF, "cache": {"chunkSize": "1MiB", "size": "16MiB"}}, prefix="m/")
    with follow(d) as p:
        assert d.ossc("mount").returncode == 0
        wait_for_line(p, "waits for the first file to be opened")
    assert b"waits for an open" in d.ossc("status").stdout
    with program(["sh", "-c", 'read x < "$0"; read wait', d.path("a.bin")], d.preload()):
        with follow(d) as p:
            wait_for_line(p, "the cache is full: waits for readers")


def test_by_hand_it_ends_with_the_download(d, store):
    assert d.ossc("prefetch").returncode == 0
    with follow(d) as p:
        wait_for_line(p, "of 67.1 MB")
        let_go(store)
        *_, end = p.stderr.read().decode().splitlines()
        assert re.fullmatch(END, end) and p.wait(60) == 0


def test_by_hand_without_a_daemon_or_with_wrong_arguments(store):
    from daemon import Daemon
    with Daemon.unstarted(store) as d:
        refused(d.ossc("progress"), 1, str(d.socket))
        refused(d.ossc("progress", env={"OSS_PATH": ""}), 1, "OSS_PATH")
        for argv in ["--of"], ["--of", "x"], ["x"], ["--of", "0"]:
            refused(d.ossc("progress", *argv), 2, "ossc progress --help")
        assert not d.socket.exists()


# ---- ossc status --watch -------------------------------------------------------------------------------


def test_watch_shows_rates_files_and_clients_on_any_width(d):
    wanted = "oss://models/m/", "running", "a.bin", "127.0.0.2", "127.0.0.3", "CLIENT", "cat", "B/s"

    def last(text):
        """The newest frame that is whole."""
        return ["", *text.split("\x1b[H")][-2].replace("\x1b[2K", "").replace("\x1b[J", "")

    with program(["cat", d.path("a.bin")], d.preload(HTTP_SOURCE_IP="127.0.0.2,127.0.0.3")):
        argv = [BUILD / "ossc", "status", "--watch=0.1"]
        with on_a_terminal(argv, d.env(), "stdout") as (p, read):
            shown = last(read(lambda text: all(words in last(text) for words in wanted), timeout=60))
            p.send_signal(signal.SIGINT)
            assert p.wait(20) == 130
    assert all(len(line.rstrip("\r")) <= 100 for line in shown.split("\n")) and len(shown.split("\n")) <= 24, shown


def test_watch_waits_for_a_daemon_that_went(d):
    with program([BUILD / "ossc", "status", "--watch=0.1"], d.env(), stdout=subprocess.PIPE) as p:
        def until(word):
            for line in p.stdout:
                if word in line.decode():
                    return
            pytest.fail(f"no {word}: {p.stderr.read()}")
        until(f"pid {d.pid}")
        d.stop()
        until("waiting for one")
        d.start()
        until(f"pid {d.pid}")
        p.send_signal(signal.SIGINT)
        p.stdout.read()
        assert p.wait(20) == 130 and p.stderr.read() == b""
