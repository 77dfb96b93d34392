"""Sizes at the upper end: objects of 5 TB, many files, many clients, many keys; and a daemon that has nothing to do."""
import contextlib
import hashlib
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import time

import pytest

import wire
from daemon import BUILD
from store import synth_bytes
from test_listing import tree_keys

MiB = 1 << 20
PROGRAMS = BUILD / "test/programs"


def rss_kib(pid):
    """What is in memory now but for what is shared: the daemon's own."""
    with open(f"/proc/{pid}/status") as f:
        found = dict(line.split(":", 1) for line in f)
    return sum(int(found[name].split()[0]) for name in ("RssAnon", "RssFile"))


READ_AT = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
print(os.fstat(fd).st_size, os.lseek(fd, -7, os.SEEK_END), os.read(fd, 100).hex())
for at in sys.argv[2:]:
    print(os.pread(fd, 4096, int(at)).hex())
"""


def test_the_last_bytes_of_five_terabytes(start_daemon, store):
    """Offsets beyond every power of two on the way, in tables of bounded size."""
    size = 5 << 40
    store.synth("models/g/huge.bin", size=size, seed=11)
    d = start_daemon({"cache": {"size": "128MiB"}, "verify": "off"}, prefix="g/")
    places = [0, (1 << 31) - 1, (1 << 32) - 1, (1 << 40) + 1, (1 << 42) - 5, (1 << 42) + 8191, size - 4096, size - 1]
    out = d.run(sys.executable, "-c", READ_AT, d.path("huge.bin"), *places)
    assert out.returncode == 0, out.stderr
    first, *found = out.stdout.decode().splitlines()
    assert first == f"{size} {size - 7} {synth_bytes(11, size - 7, 7).hex()}"
    for at, got in zip(places, found):
        assert got == synth_bytes(11, at, min(4096, size - at)).hex(), at
    out = d.run("tail", "-c", "1000", d.path("huge.bin"))
    assert out.stdout == synth_bytes(11, size - 1000, 1000), out.stderr
    # One word and one sum for each of the 655,360 chunks, and not a page for each.
    assert rss_kib(d.pid) < 64 * 1024


def test_a_thousand_clients_read_one_file_once(start_daemon, store):
    store.synth("models/c/w.bin", size=MiB, seed=5)
    d = start_daemon(prefix="c/")
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    clients = 1000 if os.geteuid() == 0 or limit == resource.RLIM_INFINITY else min(1000, limit // 2)
    p = subprocess.Popen([PROGRAMS / "many_clients", d.path("w.bin"), str(clients)], env=d.preload(),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert p.stdout.readline() == b"all here\n", p.stderr.read()
        mount, = d.status()["mounts"]
        assert mount["sessions"] >= clients
        out, err = p.communicate(b"x", timeout=120)
    finally:
        p.kill()
        p.wait()
    assert (out, err) == (b"1 %d 0\n" % MiB, b"")
    assert store.counters("models/c/w.bin")["bytes"] == MiB


def test_as_many_clients_may_knock_at_once(start_daemon, store):
    """Nobody has to look again for a place: a busy daemon would lose some of them for good."""
    with open("/proc/sys/net/core/somaxconn") as f:
        most = int(f.read())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = min(1000, most, hard - 100 if hard != resource.RLIM_INFINITY else 1000)
    if clients < 300:
        pytest.skip(f"net.core.somaxconn is {most}, and {hard} descriptors may be had")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, clients + 100), hard))
    d = start_daemon()
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        os.kill(d.pid, signal.SIGSTOP)
        stack.callback(os.kill, d.pid, signal.SIGCONT)
        for _ in range(clients):
            s = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            s.setblocking(False)
            s.connect(str(d.socket))  # EAGAIN: there is no place
    assert d.status()["mounts"] == []


OPEN_MANY = """
import hashlib, os, sys
folder, count = sys.argv[1], int(sys.argv[2])
names = sorted(os.listdir(folder))[:count]
fds = [os.open(os.path.join(folder, name), os.O_RDONLY) for name in names]
total = hashlib.sha256()
for fd in reversed(fds):
    size = os.fstat(fd).st_size
    total.update(os.pread(fd, size + 1, 0))
print(len(set(fds)), total.hexdigest())
"""


def test_ten_thousand_open_files(start_daemon, store):
    """All at the same time in one process; each is the file that it was opened as."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(10_000, limit // 2 - 2000)  # the daemon has two descriptors for each
    if count < 1000:
        pytest.skip(f"a process may have only {limit} descriptors here")
    folder = store.root / "models/o"
    folder.mkdir()
    want = hashlib.sha256()
    for i in reversed(range(count)):
        data = f"this is file {i} ".encode() * (i % 17)
        (folder / f"{i:05d}").write_bytes(data)
        want.update(data)
    store.rescan()
    d = start_daemon(prefix="o/")

    def raise_limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    out = d.run(sys.executable, "-c", OPEN_MANY, d.path(), count, preexec_fn=raise_limit)
    assert out.returncode == 0, out.stderr
    assert out.stdout.decode().split() == [str(count), want.hexdigest()]


def test_every_one_of_many_keys_by_digest(start_daemon, store):
    keys, dirs = 100_000, 321
    store.tree("models", keys=keys, dirs=dirs, prefix="k/", size=1, size_max=1, seed=2)
    d = start_daemon(prefix="k/")
    out = d.ossc("ls", "-R")
    assert out.returncode == 0, out.stderr
    found = [name for name in out.stdout.split(b"\n") if name and not name.endswith(b"/")]
    want = list(tree_keys(keys, dirs))
    assert len(found) == keys
    assert hashlib.sha256(b"\n".join(found)).digest() == hashlib.sha256("\n".join(want).encode()).digest()


# ---- a daemon that has nothing to do ------------------------------------------------------------


def threads(pid):
    return sorted(pathlib.Path(f"/proc/{pid}/task").iterdir())


def sleeps_for_good(task):
    """Blocked in epoll_wait() or epoll_pwait() without a time-out: no timer is armed."""
    fields = (task / "syscall").read_text().split()
    wait = {"x86_64": (232, 281), "aarch64": (22,)}[os.uname().machine]
    return fields[0].isdigit() and int(fields[0]) in wait and int(fields[4], 16) & 0xFFFFFFFF == 0xFFFFFFFF


def switches(pid):
    """How often its threads have gone to sleep so far."""
    total = 0
    for task in threads(pid):
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total


def falls_asleep(d):
    """All threads wait for good, and none of them had to go to sleep while they were looked at."""
    before = switches(d.pid)
    return all(sleeps_for_good(task) for task in threads(d.pid)) and switches(d.pid) == before


def assert_it_sleeps(d):
    deadline = time.monotonic() + 60
    while not falls_asleep(d):
        assert time.monotonic() < deadline, [(task / "syscall").read_text() for task in threads(d.pid)]
        time.sleep(0.02)
    before = switches(d.pid)
    # So long as it takes others to do something: nothing here belongs to the daemon.
    subprocess.run([sys.executable, "-c", "sum(range(10_000_000))"], check=True)
    assert switches(d.pid) == before
    assert rss_kib(d.pid) < 20 * 1024


def test_an_idle_daemon_is_small_and_never_wakes(start_daemon, store):
    store.tree("models", keys=1000, dirs=10, prefix="i/", size=1, size_max=MiB, seed=2)
    d = start_daemon(prefix="i/")
    try:
        (threads(d.pid)[0] / "syscall").read_text()
    except OSError as error:
        pytest.skip(f"what a daemon with secrets waits for is shown to CAP_SYS_PTRACE alone: {error}")
    assert_it_sleeps(d)  # nobody was there yet
    with wire.Session(d.socket) as s:
        s.hello()
        s.mount_of(d, flags=wire.KEEP)
        store.close()  # else the listing's connections would be kept for a while, and then closed
        assert_it_sleeps(d)  # a client that does nothing
    assert_it_sleeps(d)  # a mount without clients
