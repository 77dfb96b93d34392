"""Several users and hostile clients on one daemon: each sees its own, and can harm only itself."""
import errno
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import pytest

import wire
from conftest import KEY
from daemon import BUILD, Daemon

MiB = 1 << 20
ANN, BEN = 54321, 54322
BODY = random.Random(6).randbytes(3 * MiB + 5)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two other users")


def wait_until(true, what, timeout=20):
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def nr_fds(d):
    """Descriptors that the daemon has open; /proc shows them to root only."""
    return len(os.listdir(f"/proc/{d.pid}/fd")) if os.geteuid() == 0 else 0


@pytest.fixture
def served(store):
    store.put("models/w/w.bin", BODY)
    store.put("models/w/x.txt", b"hello\n")
    return store


class User:
    """Somebody without rights, with a copy of the programs that may be read."""

    def __init__(self, uid, shared):
        self.uid, self.shared = uid, shared
        self.home = shared / str(uid)
        self.home.mkdir(mode=0o700)
        os.chown(self.home, uid, uid)

    def env(self, d, preload=False, **more):
        env = {k: v for k, v in d.env().items() if not k.startswith(("HOME", "XDG_", "PYTHON"))}
        env.update(HOME=str(self.home), MODEL_DIR=str(self.home / "model"), OSSC_DAEMON=str(self.shared / "osscd"))
        if preload:
            env.update(LD_PRELOAD=str(self.shared / "libossc_preload.so"), ENABLE_CONNECTOR="1")
        env.update(more)
        return env

    def run(self, argv, env, **kw):
        return subprocess.run([str(a) for a in argv], env=env, user=self.uid, group=self.uid, extra_groups=[],
                              cwd=self.home, capture_output=True, timeout=60, **kw)

    def ossc(self, d, *argv, **more):
        return self.run([self.shared / "ossc", *argv], self.env(d, **more))

    def cat(self, d, name, **more):
        return self.run(["cat", self.home / "model" / name], self.env(d, preload=True, **more))

    def python(self, program, *argv):
        """Run it in an interpreter that may import wire; -> what it printed as JSON."""
        (self.shared / "program.py").write_text(program)
        out = self.run(["python3", "-B", self.shared / "program.py", *argv], {"PATH": os.defpath + ":/usr/local/bin"})
        assert out.returncode == 0, out.stderr.decode()
        return json.loads(out.stdout)


@pytest.fixture
def shared():
    with tempfile.TemporaryDirectory(prefix="ossc-users-") as path:
        path = pathlib.Path(path)
        path.chmod(0o755)
        for name in ("osscd", "ossc", "libossc.so.0", "libossc_preload.so"):
            shutil.copy(BUILD / name, path)
            (path / name).chmod(0o755)
        shutil.copy(wire.__file__, path)
        (path / "wire.py").chmod(0o644)
        yield path


@pytest.fixture
def ann(shared):
    return User(ANN, shared)


@pytest.fixture
def ben(shared):
    return User(BEN, shared)


@pytest.fixture
def node(served, start_daemon):
    """root's daemon, as a system service would be."""
    def start(conf=None):
        d = start_daemon(conf, prefix="w/")
        d.dir.chmod(0o755)
        return d
    return start


# ---- two users ---------------------------------------------------------------------------------


@root_only
def test_users_share_a_daemon_and_not_what_they_mount(ann, ben, node):
    d = node()
    assert ann.ossc(d, "mount").returncode == 0
    # With the very same keys: a mount is its user's.
    early = ben.cat(d, "x.txt", ENABLE_CONNECTOR="2", OSSC_WAIT_SEC="0")
    assert early.returncode != 0 and early.stdout == b""
    assert ben.ossc(d, "umount").returncode == 1
    assert ben.cat(d, "w.bin").stdout == BODY and ann.cat(d, "w.bin").stdout == BODY
    assert sorted(m["uid"] for m in d.status()["mounts"]) == [ANN, BEN]
    assert d.status()["daemon"]["pid"] == d.pid


@root_only
def test_the_state_that_a_user_is_shown_is_its_own(ann, ben, node):
    d = node()
    assert ann.ossc(d, "mount").returncode == 0
    mine = json.loads(ann.ossc(d, "status", "--json").stdout)
    assert [m["oss_path"] for m in mine["mounts"]] == ["oss://models/w/"]
    assert {s["uid"] for s in mine["sessions"]} == {ANN}
    theirs = ben.ossc(d, "status", "--json")
    assert theirs.returncode == 0 and b"oss://" not in theirs.stdout and str(ANN).encode() not in theirs.stdout
    assert json.loads(theirs.stdout)["mounts"] == []
    # And waiting for a prefetch works without rights.
    out = ann.ossc(d, "prefetch", "--wait")
    assert out.returncode == 0 and b"3.0 MiB in the cache" in out.stdout, out


@root_only
def test_a_wrong_secret_attaches_to_nothing(ann, node, served):
    d = node({"network": {"retrySec": 1}})
    assert ann.ossc(d, "prefetch", "--wait").returncode == 0
    for role in ("1", "2"):
        out = ann.cat(d, "x.txt", ENABLE_CONNECTOR=role, OSS_ACCESS_KEY_SECRET="guessed", OSSC_WAIT_SEC="0")
        assert out.returncode != 0 and out.stdout == b"", role
    out = ann.cat(d, "x.txt", OSS_ACCESS_KEY_ID="", OSS_ACCESS_KEY_SECRET="", OSSC_WAIT_SEC="0")
    assert out.returncode != 0 and out.stdout == b""
    assert ann.cat(d, "x.txt", ENABLE_CONNECTOR="2").stdout == b"hello\n"


@root_only
def test_the_keys_of_roots_daemon_are_not_for_others(ann, served, start_daemon):
    d = start_daemon({"network": {"retrySec": 1}}, prefix="w/", key=None,
                     env={"OSS_ACCESS_KEY_ID": KEY[0], "OSS_ACCESS_KEY_SECRET": KEY[1]})
    d.dir.chmod(0o755)
    assert d.run("cat", d.path("x.txt")).stdout == b"hello\n"
    out = ann.cat(d, "x.txt")
    assert out.returncode != 0 and out.stdout == b"" and b"without keys" in out.stderr


@root_only
def test_an_ordinary_user_starts_a_daemon_of_its_own(ann, served):
    if os.path.exists("/run/oss-connector/osscd.sock"):
        pytest.skip("a daemon serves this node")
    with Daemon.unstarted(served, prefix="w/", key=KEY) as d:
        run = ann.home / "run"
        run.mkdir(mode=0o700)
        os.chown(run, ANN, ANN)
        env = ann.env(d, preload=True, XDG_RUNTIME_DIR=str(run))
        for name in ("OSSC_SOCKET", "OSSC_CONFIG", "OSSC_DAEMON"):
            del env[name]
        out = ann.run(["cat", ann.home / "model" / "w.bin"], env)
        assert out.stdout == BODY, out.stderr
        socket = run / "oss-connector" / "osscd.sock"
        assert socket.parent.stat().st_mode & 0o777 == 0o700 and socket.stat().st_uid == ANN
        del env["LD_PRELOAD"]
        status = json.loads(ann.run([ann.shared / "ossc", "status", "--json"], env).stdout)
        pid = status["daemon"]["pid"]
        try:
            assert status["daemon"]["uid"] == ANN and status["daemon"]["socket"] == str(socket)
            # Beside the library, not from the place where it was built.
            assert os.readlink(f"/proc/{pid}/exe") == str(ann.shared / "osscd")
            assert f"\nUid:\t{ANN}\t{ANN}\t{ANN}\t{ANN}\n" in pathlib.Path(f"/proc/{pid}/status").read_text()
        finally:
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not socket.exists(), "it does not end")


@root_only
def test_a_daemon_of_somebody_else_gets_no_keys(ann, ben, served):
    with Daemon.unstarted(served, prefix="w/", key=KEY) as d:
        d.dir.chmod(0o755)
        path = ben.home / "osscd.sock"
        ben.home.chmod(0o755)
        (ben.home / "config.json").write_text("{}")
        bens = subprocess.Popen([ben.shared / "osscd", "--socket", path, "--config", ben.home / "config.json"],
                                user=BEN, group=BEN, extra_groups=[], env={"HOME": str(ben.home)}, cwd="/",
                                stderr=subprocess.PIPE)
        try:
            if not wait_for_socket(bens, path):
                pytest.fail(bens.stderr.read().decode())
            path.chmod(0o666)
            out = ann.cat(d, "x.txt", OSSC_SOCKET=str(path))
            assert out.returncode != 0 and out.stdout == b""
            assert b"not trusted" in out.stderr and str(BEN).encode() in out.stderr
        finally:
            bens.terminate()
            bens.communicate(timeout=10)


def wait_for_socket(process, path):
    wait_until(lambda: path.exists() or process.poll() is not None, "no socket", 10)
    return path.exists()


# ---- what a client holds ------------------------------------------------------------------------


REOPEN = """
import errno, json, mmap, os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

path, strings = sys.argv[1], json.loads(sys.argv[2])


def attempt(call):
    try:
        call()
        return 'done'
    except OSError as e:
        return errno.errorcode[e.errno]


def attempts(fd):
    name = f'/proc/self/fd/{fd}'
    size = min(os.fstat(fd).st_size, 4096)

    def again(flags):
        return os.open(name, flags)

    def to_write(file):
        return mmap.mmap(file, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)

    return {
        'map': attempt(lambda: to_write(fd)),
        'write': attempt(lambda: os.pwrite(fd, b'bad', 0)),
        'allocate': attempt(lambda: os.posix_fallocate(fd, 0, size)),
        'cut': attempt(lambda: os.ftruncate(fd, size)),
        'reopen and map': attempt(lambda: to_write(again(os.O_RDWR))),
        'reopen and write': attempt(lambda: os.pwrite(again(os.O_RDWR), b'bad', 0)),
        'reopen to write': attempt(lambda: os.pwrite(again(os.O_WRONLY), b'bad', 0)),
        'reopen and append': attempt(lambda: os.write(again(os.O_WRONLY | os.O_APPEND), b'bad')),
        'reopen and cut': attempt(lambda: again(os.O_RDWR | os.O_TRUNC)),
    }


with wire.Session(path) as s:
    s.hello()
    (mount, *_), (table, snapshot) = s.mount(**strings)
    _, size, _, memory = s.open(mount, 'w.bin')
    own = os.memfd_create('own')
    os.ftruncate(own, 4096)
    print(json.dumps({'own': attempts(own), 'memory': attempts(memory), 'table': attempts(table),
                      'snapshot': attempts(snapshot)}))
"""


@root_only
@pytest.mark.parametrize("memory", ["memfd", "tmpfs"])
def test_what_a_client_is_given_cannot_be_written(memory, ann, node):
    try:
        d = node({"cache": {"memory": memory, "size": "64MiB"}})
    except RuntimeError as e:
        pytest.skip(f"no object memory of that kind here: {e}")
    env = d.env()
    found = ann.python(REOPEN, d.socket, json.dumps({
        "oss_path": env["OSS_PATH"], "endpoint": env["OSS_ENDPOINT"], "region": env["OSS_REGION"],
        "access_key": KEY[0], "secret": KEY[1]}))
    # The attempts are real: on a file of its own all succeed.
    assert set(found.pop("own").values()) == {"done"}
    for what, attempts in found.items():
        for how, result in attempts.items():
            assert result in ("EACCES", "EROFS", "EPERM", "EBADF", "EINVAL"), (what, how, result)
    assert ann.cat(d, "w.bin").stdout == BODY


@root_only
def test_what_an_ordinary_users_daemon_gives_cannot_be_written(ann, served):
    conf, path = ann.home / "config.json", ann.home / "osscd.sock"
    conf.write_text(json.dumps({"cache": {"memory": "tmpfs", "size": "64MiB"}, "logPath": "", "auditPath": ""}))
    anns = subprocess.Popen([ann.shared / "osscd", "--socket", path, "--config", conf], user=ANN, group=ANN,
                            extra_groups=[], env={"HOME": str(ann.home)}, cwd="/", stderr=subprocess.PIPE)
    try:
        if not wait_for_socket(anns, path):
            pytest.skip(f"no user namespace here: {anns.stderr.read().decode()}")
        # Its own place, in no namespace but its own.
        assert str(ann.home) not in pathlib.Path("/proc/self/mounts").read_text()
        assert str(ann.home) not in pathlib.Path(f"/proc/{anns.pid}/mounts").read_text()
        with Daemon.unstarted(served, prefix="w/", key=KEY) as d:
            env = ann.env(d)
            found = ann.python(REOPEN, path, json.dumps({
                "oss_path": env["OSS_PATH"], "endpoint": env["OSS_ENDPOINT"], "region": env["OSS_REGION"],
                "access_key": KEY[0], "secret": KEY[1]}))
            assert set(found["own"].values()) == {"done"}
            assert not {"done"} & set(found["memory"].values())
            assert ann.cat(d, "w.bin", OSSC_SOCKET=str(path)).stdout == BODY
    finally:
        anns.terminate()
        anns.communicate(timeout=20)
    assert not (ann.home / "memory").exists()


# ---- hostile clients ------------------------------------------------------------------------------


@pytest.fixture
def d(served, start_daemon):
    return start_daemon({"cache": {"size": "64MiB", "chunkSize": "1MiB"}}, prefix="w/")


@pytest.fixture
def bystander(d):
    """Another client, which must notice nothing."""
    with wire.Session(d.socket) as s:
        s.hello()
        (mount, *_), _ = s.mount_of(d)
        yield lambda: s.open(mount, "x.txt")[1] == 6
    assert d.process.poll() is None


def attached(d):
    s = wire.Session(d.socket)
    s.hello()
    (mount, *_), _ = s.mount_of(d)
    return s, mount


def test_a_flood_of_clients_is_bounded(served, start_daemon):
    d = start_daemon({"maxSessions": 40, "maxSessionsPerUser": 30}, prefix="w/")
    fds = nr_fds(d)
    sessions, refusals = [], []
    try:
        for _ in range(200):
            s = wire.Session(d.socket)
            sessions.append(s)
            try:
                s.hello()
            except wire.Refused as e:
                refusals.append(e)
            except wire.Gone:
                refusals.append(None)
        assert len(refusals) == 170
        said = [e for e in refusals if e is not None]
        assert said and all("maxSessionsPerUser 30" in e.text and e.errno == errno.EBUSY for e in said)
        assert nr_fds(d) < fds + 40 * 4 + 100
    finally:
        for s in sessions:
            s.close()
    wait_until(lambda: d.ossc("cat", "x.txt").stdout == b"hello\n", "the flood left something behind")


@root_only
def test_one_users_flood_leaves_room_for_others(ann, node):
    d = node({"maxSessions": 40, "maxSessionsPerUser": 30})
    flood = []
    try:
        for _ in range(100):
            s = wire.Session(d.socket)
            flood.append(s)
            try:
                s.hello()
            except (wire.Refused, wire.Gone):
                pass
        assert ann.cat(d, "w.bin").stdout == BODY
    finally:
        for s in flood:
            s.close()


def test_connections_that_say_nothing_are_bounded_too(served, start_daemon):
    d = start_daemon({"maxSessions": 40, "maxSessionsPerUser": 30}, prefix="w/")
    fds = nr_fds(d)
    silent = [wire.Session(d.socket) for _ in range(120)]
    try:
        with wire.Session(d.socket) as s:
            with pytest.raises((wire.Refused, wire.Gone)):
                s.hello()
        assert nr_fds(d) < fds + 140
    finally:
        for s in silent:
            s.close()
    wait_until(lambda: d.ossc("cat", "x.txt").stdout == b"hello\n", "silent clients left something behind")


@pytest.mark.parametrize("first,nr", [(0, 0xFFFFFFFF), (0, 5), (3, 2), (4, 1), (0xFFFFFFFF, 1), (0xFFFFFFFF, 0xFFFFFFFF),
                                      (1, 0xFFFFFFFF), (0, 0)])
def test_pins_beyond_the_object_are_refused(first, nr, d, bystander):
    s, mount = attached(d)
    with s:
        number, size, _, _ = s.open(mount, "w.bin")
        assert size == len(BODY)  # four chunks
        for kind in (wire.PIN, wire.UNPIN):
            with pytest.raises(wire.Refused) as refusal:
                s.pin(number, first, nr, kind)
            assert refusal.value.errno == errno.EINVAL
        # The session goes on.
        s.pin(number, 0, 4)
        assert d.status()["cache"]["pinned"] > 0
        assert bystander()
    wait_until(lambda: d.status()["cache"]["pinned"] == 0, "its pins stay")


def test_pins_are_bounded_and_given_back_only_once(d, bystander):
    s, mount = attached(d)
    with s:
        number = s.open(mount, "w.bin")[0]
        with pytest.raises(wire.Refused) as refusal:
            for _ in range(1000):
                s.pin(number, 0, 4)
        assert refusal.value.errno == errno.ENOSPC
        with pytest.raises(wire.Refused):
            s.pin(number + 1, 0, 1)
        for _ in range(255):
            s.pin(number, 0, 4, wire.UNPIN)
        with pytest.raises(wire.Refused) as refusal:
            s.pin(number, 0, 4, wire.UNPIN)
        assert refusal.value.errno == errno.EINVAL
        assert bystander()


def test_more_than_the_cache_can_pin_is_refused(served, start_daemon):
    served.synth("models/w/huge.bin", 1 << 36, crc=False)
    d = start_daemon({"cache": {"size": "16MiB", "chunkSize": "1MiB"}}, prefix="w/")
    s, mount = attached(d)
    with s:
        number, size, _, _ = s.open(mount, "huge.bin")
        assert size == 1 << 36
        with pytest.raises(wire.Refused) as refusal:
            s.pin(number, 0, 1 << 16)
        assert refusal.value.errno == errno.ENOSPC and "cache.size" in refusal.value.text
        s.pin(number, 0, 4)


@pytest.mark.parametrize("offset,value", [(wire.RING_TAIL, 0x7FFFFFFF), (wire.RING_TAIL, 1025), (wire.RING_TAIL, -1)])
def test_broken_ring_indices_end_that_session_only(offset, value, d, bystander):
    s, _ = attached(d)
    with s:
        s.poke(offset, value)
        with pytest.raises(wire.Gone):
            s.receive()
    assert bystander()
    assert d.run("cat", d.path("x.txt")).stdout == b"hello\n"


def test_rubbish_in_the_rings_is_counted_and_harms_nobody(d, bystander):
    s, mount = attached(d)
    with s:
        rng = random.Random(1)
        s.open(mount, "w.bin")
        before = d.status()["counters"]["bad_submissions"]
        for i in range(1000):
            struct.pack_into("<BBHIIIQ", s.memory, 512 + 24 * i, rng.choice((1, 2)), rng.getrandbits(8), 0,
                             rng.choice((0, 1, 2, rng.getrandbits(32))), rng.choice((0, 3, 4, rng.getrandbits(32))),
                             rng.choice((0, 1, rng.getrandbits(32))), rng.getrandbits(64))
        # Completions and touches.
        s.memory[512 + 24 * 1024:] = rng.randbytes(wire.SESSION_LEN - 512 - 24 * 1024)
        s.poke(wire.TOUCH_TAIL, 0xFFFFFFF0)
        s.poke(wire.RING_TAIL, 1000)
        wait_until(lambda: d.status()["counters"]["bad_submissions"] >= before + 400, "they were not looked at")
        assert s.open(mount, "x.txt")[1] == 6
    assert bystander()
    assert d.run("cat", d.path("w.bin")).stdout == BODY


def test_an_entry_of_unknown_kind_ends_that_session_only(d, bystander):
    s, _ = attached(d)
    with s:
        s.memory[512] = 77
        s.poke(wire.RING_TAIL, 1)
        with pytest.raises(wire.Gone):
            s.receive()
    assert bystander()


@pytest.mark.parametrize("packet", [
    b"x", b"\0" * 24, wire.HEAD.pack(wire.MAGIC, 1, wire.STATUS, 1, 0, 9999, 0),
    wire.HEAD.pack(wire.MAGIC + 1, 1, wire.STATUS, 1, 0, 24, 0), bytes(16384), os.urandom(2000),
], ids=["a byte", "zeros", "wrong length", "wrong magic", "16 KiB of zeros", "noise"])
def test_a_packet_that_is_no_message_ends_that_session_only(packet, d, bystander):
    s, _ = attached(d)
    with s:
        s.send_bytes(packet)
        with pytest.raises(wire.Gone):
            s.receive()
    assert bystander()


@pytest.mark.parametrize("kind,body,error", [
    (77, b"", errno.EOPNOTSUPP),
    (wire.HELLO, struct.pack("<II32s", 1, 0, b""), errno.EPROTO),
    (wire.STATUS, b"more", errno.EPROTO),
    (wire.OPEN, struct.pack("<IHH", 1, 65535, 0), errno.EPROTO),
    (wire.OPEN, struct.pack("<IHH", 1, 3, 0) + b"a\0b", errno.EINVAL),
    (wire.OPEN, struct.pack("<IHH", 99, 1, 0) + b"a", errno.EBADF),
    (wire.OPEN, struct.pack("<IHH", 1, 5000, 0) + b"a" * 5000, errno.ENAMETOOLONG),
    (wire.OPEN, struct.pack("<IHH", 1, 14, 0) + b"../../etc/motd", errno.ENOENT),
    (wire.CLOSE, struct.pack("<II", 0, 0), errno.EBADF),
    (wire.CLOSE, struct.pack("<II", 0xFFFFFFFF, 0), errno.EBADF),
    (wire.VERIFY, struct.pack("<II", 7, 0), errno.EBADF),
    (wire.SNAPSHOT, struct.pack("<II", 1, 0xFF), errno.EINVAL),
    (wire.MOUNT, struct.pack("<I8HI", 0xFFFF, *[0] * 8, 0), errno.EINVAL),
    (wire.MOUNT, struct.pack("<I8HI", 0, *[65535] * 8, 0), errno.EPROTO),
    (wire.MOUNT, struct.pack("<I8HI", 0, *[0] * 8, 0), errno.EINVAL),
])
def test_a_request_that_is_wrong_is_refused_and_the_session_goes_on(kind, body, error, d, bystander):
    s, mount = attached(d)
    with s:
        with pytest.raises(wire.Refused) as refusal:
            s.call(kind, body)
        assert refusal.value.errno == error and refusal.value.text
        assert s.open(mount, "x.txt")[1] == 6
    assert bystander()


def test_a_client_that_reads_no_answers_is_let_go(d, bystander):
    s, _ = attached(d)
    with s:
        s.socket.settimeout(5)
        with pytest.raises((wire.Gone, TimeoutError)):
            for _ in range(100_000):
                s.send(wire.STATUS)
        wait_until(lambda: nr_fds(d) < 400, "its answers pile up")
        assert bystander()


def test_mounts_of_one_client_are_bounded(d, bystander):
    s, _ = attached(d)
    with s:
        with pytest.raises(wire.Refused) as refusal:
            for _ in range(100):
                s.mount_of(d)
        assert refusal.value.errno == errno.EMFILE
    assert bystander()
