"""Processes with store files open and mapped: made in every way, threaded, interrupted, and without their daemon."""
import contextlib
import hashlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from conftest import KEY
from daemon import BUILD, Daemon
from store import Store

MiB = 1 << 20
PROGRAMS = BUILD / "test" / "programs"
NAME = "w.bin"


def body(seed, size):
    return random.Random(seed).randbytes(size)


def wait_until(true, what, timeout=30):
    """Poll; -> the first value that is true."""
    deadline = time.monotonic() + timeout
    while True:
        value = true()
        if value:
            return value
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.005)


@pytest.fixture(scope="module")
def served():
    """One store for all of this: w.bin of 3 MiB, 64 small files, their plain copies' bytes."""
    with Store(keys=[KEY], buckets=["models"]) as s:
        s.put("models/p/w.bin", body(1, 3 * MiB + 123))
        for i in range(64):
            s.put(f"models/p/many/{i}", body(2, 100_000))
        s.put("models/p/big.bin", body(3, 24 * MiB))
        s.put("models/p/text", b"one\ntwo\nthree\n")
        yield s


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    at = tmp_path_factory.mktemp("plain")
    (at / NAME).write_bytes(body(1, 3 * MiB + 123))
    (at / "many").write_bytes(body(2, 100_000))
    return at


@contextlib.contextmanager
def new_daemon(served, conf=None, **options):
    d = Daemon(served, {"cache": {"size": "256MiB", "chunkSize": "1MiB"}, **(conf or {})}, prefix="p/", key=KEY,
               **options)
    try:
        yield d.start()
    finally:
        try:
            d.stop()
        finally:
            d.own_dir.cleanup()


@pytest.fixture(scope="module")
def shared(served):
    with new_daemon(served) as d:
        yield d


@pytest.fixture
def own(served):
    """own(conf) -> a daemon of the story's own, with nothing in its cache."""
    with contextlib.ExitStack() as stack:
        yield lambda conf=None, **options: stack.enter_context(new_daemon(served, conf, **options))
    served.clear()
    served.limits(total_bps=0, first_byte_ms=0, per_connection_bps=0)


def names_of_descriptors(pid):
    """Without those that come and go on their own: connections with the store, pipes of workers."""
    names = []
    for n in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            names.append(os.readlink(f"/proc/{pid}/fd/{n}"))
    return sorted(n for n in names if not n.startswith(("socket:", "pipe:")))


def descriptors(pid):
    return len(names_of_descriptors(pid))


def sessions(d):
    return len(d.status()["sessions"])


def nobody_is_left(d, before):
    """Every session is gone, and the daemon has as many descriptors as before."""
    wait_until(lambda: sessions(d) <= 1, "sessions stay")
    wait_until(lambda: descriptors(d.pid) <= before, lambda: f"{before} before, now {names_of_descriptors(d.pid)}")


def right(out):
    assert (out.returncode, out.stdout) == (0, b"right\n"), (out.stdout, out.stderr)


def python(d, code, role=1, check=True, timeout=60, argv=(), **env):
    out = d.run(sys.executable, "-c", textwrap.dedent(code), *argv, role=role, env={"D": str(d.model_dir), **env},
                timeout=timeout)
    if check:
        assert out.returncode == 0, out.stderr.decode()
    return out.stdout.decode()


# ---- processes made in every way ------------------------------------------------------------------

WAYS = ["fork", "raw-fork", "clone", "clone-vm", "clone-files", "clone-vm-files", "clone-vfork", "vfork", "spawn", "exec",
        "daemon-one-by-one", "daemon-closefrom", "daemon-range", "daemon-raw"]


@pytest.mark.parametrize("how", WAYS)
def test_a_process_made_so_reads_what_was_open_mapped_and_named(how, plain, shared):
    bare = shared.run(PROGRAMS / "proc_start", how, plain / NAME, plain / NAME, preload=False)
    assert bare.returncode == 0 and set(bare.stdout.split()) == {b"right"}
    out = shared.run(PROGRAMS / "proc_start", how, shared.path(NAME), plain / NAME, timeout=30)
    assert (out.returncode, out.stdout) == (0, bare.stdout), out.stderr


def test_200_short_children_leave_nothing_behind(served, plain, shared):
    """Each opens a session of its own; when they have gone the daemon holds what it held before."""
    assert shared.run("cat", shared.path("text")).returncode == 0
    wait_until(lambda: sessions(shared) <= 1, "sessions stay")
    before = descriptors(shared.pid)
    out = python(shared, """
        import hashlib, os
        path = os.environ["D"] + "/w.bin"
        want = hashlib.md5(open(path, "rb").read()).digest()
        fd = os.open(path, os.O_RDONLY)
        for _ in range(10):
            children = []
            for i in range(20):
                pid = os.fork()
                if pid == 0:
                    same = hashlib.md5(open(path, "rb").read()).digest() == want and len(os.pread(fd, 99, i)) == 99
                    os._exit(0 if same else 1)
                children.append(pid)
            for pid in children:
                assert os.waitpid(pid, 0)[1] == 0
        print("right", len(os.listdir("/proc/self/fd")) < 30)
        """)
    assert out == "right True\n"
    nobody_is_left(shared, before)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method, plain, shared, tmp_path):
    """A pool whose workers read by path, and a process that is handed an open file's number."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent("""
        import concurrent.futures, hashlib, multiprocessing, os, sys
        D = os.environ["D"]

        def digest(name):
            with open(D + "/" + name, "rb") as f:
                return hashlib.md5(f.read()).hexdigest()

        def piece(at):
            with open(D + "/w.bin", "rb", buffering=0) as f:
                f.seek(at)
                return hashlib.md5(f.read(1 << 16)).hexdigest()

        def follow(fd, queue):
            queue.put(hashlib.md5(os.pread(fd, 5000, 100)).hexdigest())

        if __name__ == "__main__":
            method = sys.argv[1]
            context = multiprocessing.get_context(method)
            first = digest("w.bin")
            held = open(D + "/w.bin", "rb")
            held.read(10)
            with context.Pool(3) as pool:
                print(set(pool.map(digest, ["w.bin"] * 6)) == {first})
            with concurrent.futures.ProcessPoolExecutor(3, mp_context=context) as pool:
                print(list(pool.map(piece, range(0, 1 << 20, 1 << 16))) == [piece(a) for a in range(0, 1 << 20, 1 << 16)])
            if method == "fork":
                queue = context.Queue()
                process = context.Process(target=follow, args=(held.fileno(), queue))
                process.start()
                print(queue.get() == hashlib.md5(os.pread(held.fileno(), 5000, 100)).hexdigest())
                process.join()
            else:
                print(True)
            print(held.tell(), digest("w.bin") == first, first)
        """))
    out = shared.run(sys.executable, script, method, env={"D": str(shared.model_dir)}, timeout=60)
    want = hashlib.md5((plain / NAME).read_bytes()).hexdigest()
    assert out.stdout.decode() == f"True\nTrue\nTrue\n10 True {want}\n", out.stderr.decode()


def test_subprocess_passes_and_closes_descriptors(plain, shared):
    out = python(shared, """
        import os, subprocess, sys
        fd = os.open(os.environ["D"] + "/w.bin", os.O_RDONLY)
        code = "import os, sys; print(os.pread(int(sys.argv[1]), 4, 1000).hex())"
        def run(**kw):
            out = subprocess.run([sys.executable, "-c", code, str(fd)], capture_output=True, text=True, **kw)
            return out.stdout or out.stderr.split()[-1] + "\\n"
        print(run(pass_fds=[fd]) + run(close_fds=True), end="")
        os.set_inheritable(fd, True)
        print(run(close_fds=False), end="")
        print(os.pread(fd, 4, 1000).hex())
        """)
    want = (plain / NAME).read_bytes()[1000:1004].hex()
    assert out.split() == [want, "descriptor", want, want]


def test_fork_in_threads_of_python(plain, shared):
    out = python(shared, """
        import hashlib, os, threading
        path = os.environ["D"] + "/w.bin"
        want = hashlib.md5(open(path, "rb").read()).digest()
        results = []
        def work():
            for _ in range(5):
                pid = os.fork()
                if pid == 0:
                    os._exit(0 if hashlib.md5(open(path, "rb").read()).digest() == want else 1)
                results.append(os.waitpid(pid, 0)[1])
                results.append(hashlib.md5(open(path, "rb").read()).digest() != want)
        threads = [threading.Thread(target=work) for _ in range(6)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(len(results), any(results))
        """)
    assert out == "60 False\n"


def test_a_forked_child_whose_first_store_file_comes_after_its_threads(plain, shared):
    """As nginx's workers do: threads of their own, and no file was open in their parent."""
    out = python(shared, """
        import os, sys, threading
        pid = os.fork()
        if pid == 0:
            end = threading.Event()
            threading.Thread(target=end.wait).start()
            try:
                fd = os.open(os.environ["D"] + "/w.bin", os.O_RDONLY)
                print(os.pread(fd, 4, 1000).hex(), flush=True)
            finally:
                end.set()
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
        """)
    assert out.split() == [(plain / NAME).read_bytes()[1000:1004].hex(), "0"]


# ---- threads and signals ----------------------------------------------------------------------------


def test_64_threads_open_one_cold_object_at_once(served, plain, own):
    d = own()
    served.reset()
    right(d.run(PROGRAMS / "proc_threads", "one", d.path(NAME), plain / NAME, timeout=30))
    size = 3 * MiB + 123
    assert size <= served.counters(f"models/p/{NAME}")["bytes"] <= size + MiB


def test_64_threads_open_64_cold_objects_at_once(served, plain, own):
    d = own()
    served.reset()
    right(d.run(PROGRAMS / "proc_threads", "many", d.path(NAME), plain / "many",
                *(d.path(f"many/{i}") for i in range(64)), timeout=30))
    assert sum(served.counters(f"models/p/many/{i}")["bytes"] for i in range(64)) == 64 * 100_000


@pytest.mark.parametrize("how", ["fork", "signals", "signals-interrupting"])
def test_threads(how, plain, shared):
    assert shared.run(PROGRAMS / "proc_threads", how, plain / NAME, plain / NAME, preload=False).stdout == b"right\n"
    right(shared.run(PROGRAMS / "proc_threads", how, shared.path(NAME), plain / NAME, timeout=60))


@pytest.mark.parametrize("how", ["cancel", "cancel-async"])
def test_cancelled_readers_end_and_the_others_go_on(how, plain, shared):
    right(shared.run(PROGRAMS / "proc_threads", how, shared.path(NAME), plain / NAME, timeout=60))


@pytest.mark.parametrize("how", ["cancel-cold", "cancel-cold-async"])
def test_readers_that_wait_for_a_stalled_store_can_be_cancelled(how, served, plain, own):
    """They end while the store says nothing; when it speaks again, others read."""
    d = own()
    assert d.run("ls", d.path()).returncode == 0
    served.fault(f"GET models/p/{NAME}", "stall_at", at=0)
    p = subprocess.Popen([PROGRAMS / "proc_threads", how, d.path(NAME), plain / NAME], env=d.preload(),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert p.stdout.readline() == b"cancelled\n"
        served.clear()
        assert p.communicate(b"go on\n", timeout=60)[0] == b"right\n"
    finally:
        p.kill()
        p.wait()
