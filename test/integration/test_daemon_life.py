"""How osscd starts, reloads, rests and ends, and what it gives back when its clients go."""
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from conftest import KEY
from daemon import BUILD, Daemon

MiB = 1 << 20


def body(seed, size):
    return random.Random(seed).randbytes(size)


def wait_until(true, what, timeout=20):
    """Poll; -> the first value that is true."""
    deadline = time.monotonic() + timeout
    while True:
        value = true()
        if value:
            return value
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def used(d):
    return d.status()["cache"]["used"]


def has_ended(pid):
    """Gone, or a zombie that its parent has yet to look at."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def served(store):
    store.put("models/w/x.txt", b"hello\n")
    store.put("models/w/one/w.bin", body(1, 8 * MiB))
    return store


HOLD = """
import mmap, os, sys
how, path = sys.argv[1:]
fd = os.open(path, os.O_RDONLY)
if how == 'map':
    held = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    os.close(fd)
    held[0]
else:
    os.pread(fd, 1, 0)
print('held', flush=True)
sys.stdin.readline()
print(held[:1000].hex() if how == 'map' else os.pread(fd, 1000, 0).hex(), flush=True)
sys.stdin.readline()
"""


def hold(d, how, name):
    """A program that holds a file open ('open') or mapped ('map') until it is told to go on."""
    p = subprocess.Popen([sys.executable, "-c", HOLD, how, d.path(name)], env=d.preload(), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "held\n"
    return p


# ---- end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(number, served, start_daemon):
    d = start_daemon(prefix="w/")
    assert d.run("cat", d.path("x.txt")).stdout == b"hello\n"
    d.process.send_signal(number)
    assert d.process.wait(10) == 0
    assert not d.socket.exists() and not pathlib.Path(f"{d.socket}.lock").exists()
    assert d.log().splitlines()[-1].endswith("ended") and d.errors() == ""


def test_it_ends_at_once_while_it_downloads_for_somebody(served, start_daemon):
    served.put("models/w/big.bin", body(2, 64 * MiB))
    served.limits(total_bps=2 * MiB)
    d = start_daemon(prefix="w/")
    reader = subprocess.Popen(["cat", d.path("big.bin")], env=d.preload(OSSC_DAEMON="/nonexistent/osscd"),
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    served.wait_for(lambda c: c["in_flight"] > 0)
    d.process.terminate()
    assert d.process.wait(5) == 0
    _, err = reader.communicate(timeout=60)
    assert reader.returncode == 1 and b"big.bin" in err


def test_it_goes_when_nobody_needs_it(served):
    with Daemon.unstarted(served, {"expireTimeSec": 0}, prefix="w/", key=KEY) as d:
        d.process = subprocess.Popen([BUILD / "osscd", "--config", d.conf_path, "--socket", d.socket, "--idle-exit",
                                      "1"], stdin=subprocess.DEVNULL)
        try:
            wait_until(d.socket.exists, "no socket")
            holder = hold(d, "open", "x.txt")
            with pytest.raises(subprocess.TimeoutExpired):
                d.process.wait(1.5)
            assert d.ossc("mount").returncode == 0
            holder.communicate("\n\n", timeout=10)
            with pytest.raises(subprocess.TimeoutExpired):
                d.process.wait(1.5)
            assert d.ossc("umount").returncode == 0
            assert d.process.wait(10) == 0
            assert not d.socket.exists()
            assert "nobody has needed the daemon" in d.log()
        finally:
            d.process.kill()
            d.process.wait()


# ---- start ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["by a crash", "by hand"])
def test_a_socket_that_was_left_behind_is_replaced(left, served, start_daemon):
    d = start_daemon(prefix="w/")
    if left == "by a crash":
        d.kill()
    else:
        assert d.stop() == 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.bind(str(d.socket))
    again = Daemon(served, prefix="w/", key=KEY, dir=d.dir)
    again.start(wait=False)
    try:
        wait_until(lambda: again.ossc("status").returncode == 0, "no new socket")
        assert again.status()["daemon"]["pid"] == again.pid
        assert again.run("cat", again.path("x.txt")).stdout == b"hello\n"
    finally:
        assert again.stop() == 0
        again.own_dir.cleanup()


def daemons_at(path):
    """Pids of processes, not zombies, whose arguments name this socket."""
    found = set()
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            argv = (p / "cmdline").read_bytes().split(b"\0")
            if argv[0].endswith(b"osscd") and str(path).encode() in argv:
                found.add(int(p.name))
        except OSError:
            pass
    return found


def test_eight_primaries_at_once_start_one_daemon(served):
    with Daemon.unstarted(served, prefix="w/", key=KEY) as d:
        readers = [subprocess.Popen(["cat", d.path("x.txt"), d.path("one/w.bin")], env=d.preload(),
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(8)]
        for r in readers:
            out, err = r.communicate(timeout=60)
            assert r.returncode == 0 and out == b"hello\n" + body(1, 8 * MiB), err
            assert err == b""
        pid = d.spawned_pid()
        wait_until(lambda: daemons_at(d.socket) == {pid}, "more daemons than one")
        assert d.log().count(" serves ") == 1 if d.log() else True
        assert d.status()["counters"]["sessions"] >= 8
        assert served.counters("models/w/one/w.bin")["bytes"] == 8 * MiB


def test_a_daemon_that_a_client_started_is_its_own_process(served):
    with Daemon.unstarted(served, prefix="w/", key=KEY) as d:
        out = d.run("bash", "-c", f'exec 9</dev/null; cat "{d.path("x.txt")}"', env={"OSSC_TEST_SECRET": "leaked"})
        assert out.stdout == b"hello\n", out.stderr
        pid = d.spawned_pid()
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        assert int(stat[2]) == int(stat[3]) != os.getsid(0)  # a session without a terminal
        assert int(stat[4]) == 0
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"^SigBlk:\t0+$", status, re.M)
        if os.geteuid() == 0:
            assert os.readlink(f"/proc/{pid}/cwd") == "/"
            assert os.readlink(f"/proc/{pid}/fd/0") == os.readlink(f"/proc/{pid}/fd/1") == "/dev/null"
            environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
            assert b"leaked" not in environment and b"LD_PRELOAD" not in environment


class Notified:
    """A service manager's socket."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(10)

    def next(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())


def test_a_service_manager_is_told(served, start_daemon, tmp_path):
    manager = Notified(tmp_path / "notify")
    with manager.socket:
        d = start_daemon(prefix="w/", env={"NOTIFY_SOCKET": manager.path})
        assert manager.next() == {"READY": "1"}
        # Ready means that a client is served.
        assert d.run("cat", d.path("x.txt")).stdout == b"hello\n"
        before = time.monotonic_ns() // 1000
        d.process.send_signal(signal.SIGHUP)
        told = manager.next()
        assert told.pop("RELOADING") == "1" and before <= int(told.pop("MONOTONIC_USEC")) and told == {}
        assert manager.next() == {"READY": "1"}
        d.process.terminate()
        assert manager.next() == {"STOPPING": "1"}
        assert d.process.wait(10) == 0


# ---- reload --------------------------------------------------------------------------------------------


def reload(d, **keys):
    """Change the configuration and send SIGHUP; returns when the daemon says that it took it."""
    d.conf.update(keys)
    d.write_conf()
    seen = d.log().count(" reloaded ")
    d.process.send_signal(signal.SIGHUP)
    wait_until(lambda: d.log().count(" reloaded ") > seen, d.log)


def test_logs_are_opened_again_after_they_were_moved(served, start_daemon):
    d = start_daemon({"expireTimeSec": 0}, prefix="w/")
    assert d.run("cat", d.path("x.txt")).returncode == 0
    old = d.log_path.rename(d.dir / "osscd.log.1"), d.audit_path.rename(d.dir / "audit.log.1")
    d.process.send_signal(signal.SIGHUP)
    wait_until(lambda: " reloaded " in d.log() and d.audit_path.exists(), "the logs were not opened again")
    sizes = [p.stat().st_size for p in old]
    assert d.run("cat", d.path("one/w.bin")).returncode == 0
    assert '"op":"open"' in d.audit_path.read_text() and "begun" in d.log()
    assert [p.stat().st_size for p in old] == sizes and all(sizes)


def test_a_reload_takes_what_can_change(served, start_daemon):
    d = start_daemon({"expireTimeSec": 600, "logLevel": 0}, prefix="w/one/")
    assert d.run("cat", d.path("w.bin")).returncode == 0
    assert used(d) == 8 * MiB
    reload(d, expireTimeSec=0)
    assert d.run("cat", d.path("w.bin")).returncode == 0
    wait_until(lambda: used(d) == 0, "expireTimeSec was not taken")
    d.conf.update(logLevel=3)
    d.write_conf()
    d.process.send_signal(signal.SIGHUP)
    wait_until(lambda: d.status()["config"]["logLevel"] == 3, "logLevel was not taken")
    size = d.log_path.stat().st_size
    assert d.run("cat", d.path("w.bin")).returncode == 0
    assert d.log_path.stat().st_size == size


def test_a_larger_cache_after_a_reload_holds_more(store, start_daemon):
    store.synth("models/w/big.bin", 160 * MiB, 3)
    d = start_daemon({"cache": {"size": "16MiB", "chunkSize": "2MiB"}, "verify": "off"}, prefix="w/")
    reload(d, cache={"size": "256MiB", "chunkSize": "2MiB"})
    for _ in range(2):
        assert d.run("sh", "-c", 'cat "$0" | wc -c', d.path("big.bin")).stdout == b"%d\n" % (160 * MiB)
    assert store.counters("models/w/big.bin")["bytes"] == 160 * MiB and used(d) == 160 * MiB


def test_a_reload_says_what_takes_a_restart(served, start_daemon):
    d = start_daemon({"cache": {"chunkSize": "4MiB"}}, prefix="w/")
    reload(d, cache={"chunkSize": "2MiB"})
    assert any("cache.chunkSize" in line and "restart" in line for line in d.log().splitlines())
    assert d.status()["cache"]["chunk_size"] == 4 * MiB
    assert d.run("cat", d.path("one/w.bin")).stdout == body(1, 8 * MiB)


def test_a_configuration_with_a_fault_changes_nothing(served, start_daemon):
    d = start_daemon({"expireTimeSec": 600}, prefix="w/")
    d.conf_path.write_text('{"expireTimeSec": "never"}\n')
    d.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "stays as it was" in d.log(), "the fault was not noticed")
    assert f"{d.conf_path}:1" in d.log() and " reloaded " not in d.log()
    assert d.status()["config"]["expireTimeSec"] == 600
    assert d.run("cat", d.path("x.txt")).stdout == b"hello\n"


# ---- what is given back -----------------------------------------------------------------------------------


def test_what_nobody_uses_is_released_at_once_with_no_expire_time(served, start_daemon):
    d = start_daemon({"expireTimeSec": 0}, prefix="w/")
    assert d.run("cat", d.path("one/w.bin")).returncode == 0
    wait_until(lambda: used(d) == 0 and d.status()["cache"]["objects"] == 0, "it was not released")


def test_what_is_mapped_stays_and_the_rest_goes(served, start_daemon):
    served.put("models/w/one/other.bin", body(2, 3 * MiB))
    d = start_daemon({"expireTimeSec": 0, "cache": {"chunkSize": "1MiB"}}, prefix="w/one/")
    holder = hold(d, "map", "w.bin")
    assert d.run("cat", d.path("other.bin")).returncode == 0
    wait_until(lambda: used(d) == 8 * MiB, "the other file was not released")
    served.reset()
    out, _ = holder.communicate("\n\n", timeout=20)
    assert out.strip() == body(1, 8 * MiB)[:1000].hex()
    assert served.counters()["bytes"] == 0
    wait_until(lambda: used(d) == 0, "the mapping is gone, its object not")


def test_what_is_open_stays_cached(served, start_daemon):
    d = start_daemon({"expireTimeSec": 0}, prefix="w/one/")
    holder = hold(d, "open", "w.bin")
    wait_until(lambda: used(d) == 8 * MiB, "it was not read ahead")
    assert d.run("cat", d.path("w.bin")).stdout == body(1, 8 * MiB)
    assert served.counters("models/w/one/w.bin")["bytes"] == 8 * MiB
    holder.communicate("\n\n", timeout=20)
    wait_until(lambda: used(d) == 0, "closed, and not released")


@pytest.mark.parametrize("how", ["open", "map"])
def test_a_client_that_is_killed_gives_everything_back(how, served, start_daemon):
    d = start_daemon({"expireTimeSec": 0}, prefix="w/")
    holder = hold(d, how, "one/w.bin")
    sessions = d.status()["sessions"]
    assert [s["objects"] >= 1 and s["mounts"] == 1 for s in sessions if s["pid"] == holder.pid] == [True]
    if how == "map":
        assert d.status()["cache"]["pinned"] == 8 * MiB
    holder.kill()
    holder.wait()
    status = wait_until(lambda: (s := d.status())["cache"]["used"] == 0 and s, "its objects stay")
    assert holder.pid not in [s["pid"] for s in status["sessions"]]
    assert status["cache"]["pinned"] == 0 and all(m["sessions"] == 0 for m in status["mounts"])


def test_a_client_that_is_killed_in_mid_read_gives_everything_back(served, start_daemon):
    served.put("models/w/big.bin", body(3, 64 * MiB))
    served.limits(total_bps=4 * MiB)
    d = start_daemon({"expireTimeSec": 0}, prefix="w/")
    reader = subprocess.Popen(["cat", d.path("big.bin")], env=d.preload(), stdout=subprocess.DEVNULL)
    served.wait_for(lambda c: c["in_flight"] > 0)
    reader.kill()
    reader.wait()
    served.limits(total_bps=0)
    wait_until(lambda: used(d) == 0 and d.status()["fetch"]["in_flight"] == 0, "downloads for nobody go on")
    assert d.run("cat", d.path("x.txt")).stdout == b"hello\n"


# ---- rest ------------------------------------------------------------------------------------------------------


def still_window(d, tmp_path, is_still):
    """Watch it for a second and a half, up to four times, until a window's system calls are as they should be."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace")
    windows = []
    for i in range(4):
        trace = tmp_path / f"trace{i}"
        p = subprocess.Popen(["strace", "-f", "-o", trace, "-p", str(d.pid)], stderr=subprocess.PIPE)
        try:
            _, err = p.communicate(timeout=1.5)
            pytest.skip(f"strace may not attach: {err.decode()}")
        except subprocess.TimeoutExpired:
            p.send_signal(signal.SIGINT)
        p.communicate(timeout=60)  # letting go of it takes long on some machines
        # What was waited for before and after is no call of this window.
        windows.append([line for line in trace.read_text().splitlines() if not line.endswith("unfinished ...>")
                        and not line.endswith("detached ...>")])
        if is_still(windows[-1]):
            return
    pytest.fail("\n".join(windows[-1]))


def test_it_sleeps_when_nobody_needs_it(served, start_daemon, tmp_path):
    d = start_daemon({"expireTimeSec": 0}, prefix="w/")
    assert d.run("cat", d.path("one/w.bin")).returncode == 0
    wait_until(lambda: used(d) == 0, "it holds what nobody needs")
    still_window(d, tmp_path, lambda calls: calls == [])


def test_it_hardly_moves_while_clients_hold_files_and_read_nothing(served, start_daemon, tmp_path):
    d = start_daemon(prefix="w/")
    holders = [hold(d, how, "one/w.bin") for how in ("open", "map")]
    # It looks at the node's memory once a second, no more: a timer of that kind wakes it a few times.
    still_window(d, tmp_path, lambda calls: sum(" epoll_wait(" in call for call in calls) <= 15)
    for h in holders:
        h.communicate("\n\n", timeout=10)


# ---- secrets ----------------------------------------------------------------------------------------------------


def everywhere(d):
    """{where: bytes} of all that others can see of the daemon."""
    proc = pathlib.Path(f"/proc/{d.pid}")
    found = {"log": d.log().encode(), "audit": d.audit_path.read_bytes(), "status": json.dumps(d.status()).encode(),
             "stderr": d.errors().encode(), "cmdline": (proc / "cmdline").read_bytes()}
    if os.geteuid() == 0:
        found["environ"] = (proc / "environ").read_bytes()
        for fd in (proc / "fd").iterdir():
            try:
                target = os.readlink(fd)
                if "memfd:" in target or target.startswith(str(d.dir)):
                    found[f"fd {target} {fd.name}"] = fd.read_bytes()
            except OSError:
                pass
    return found


@pytest.mark.parametrize("whose", ["client", "daemon", "file"])
def test_no_secret_is_to_be_seen(whose, store, start_daemon, tmp_path):
    ak, secret, token = "STS.LookForThisKey", "LookForThisSecret", "LookForThisToken"
    store.keys(ak, secret, token=token, expires=int(time.time()) + 3600)
    store.put("models/w/x.txt", b"hello\n")
    keys = {"OSS_ACCESS_KEY_ID": ak, "OSS_ACCESS_KEY_SECRET": secret, "OSS_SESSION_TOKEN": token}
    conf, env = {}, {}
    if whose == "daemon":
        env = keys
    elif whose == "file":
        (tmp_path / "keys").write_text(json.dumps(
            {"AccessKeyId": ak, "AccessKeySecret": secret, "SecurityToken": token}))
        conf = {"credentials": {"path": str(tmp_path / "keys")}}
    d = start_daemon(conf, prefix="w/", key=(ak, secret, token) if whose == "client" else None, env=env)
    holder = hold(d, "open", "x.txt")
    # An error that tells of the request must not tell of its keys either.
    store.fault("GET models/w/*", "status", status=403, code="AccessDenied")
    store.put("models/w/new.txt", b"new\n")
    refused = d.run("cat", d.path("new.txt"))
    assert refused.returncode == 1
    seen = everywhere(d)
    seen["a client's stderr"] = refused.stderr
    if os.geteuid() == 0:
        assert any("memfd" in where for where in seen)
    holder.communicate("\n\n", timeout=10)
    for where, text in seen.items():
        for word in (secret, token, "Signature=", "Authorization"):
            assert word.encode() not in text, (where, word)


def test_it_leaves_no_core_file_and_cannot_be_traced_by_its_user(served, start_daemon):
    d = start_daemon(prefix="w/")
    limits = pathlib.Path(f"/proc/{d.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.M)
    if "address" not in str(BUILD):
        # Not dumpable: what /proc shows of it belongs to root, and nobody else may attach.
        assert os.stat(f"/proc/{d.pid}/environ").st_uid == 0
