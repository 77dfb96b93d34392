"""ossc as its users type it: what it prints, where, and the exit code."""
import contextlib
import fcntl
import hashlib
import json
import os
import pty
import random
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

import model
from daemon import BUILD

MiB = 1 << 20
COMMANDS = ["ls", "stat", "cat", "get", "prefetch", "progress", "status", "mount", "umount", "doctor", "trace"]


def body(seed, size):
    return random.Random(seed).randbytes(size)


TREE = {
    "config.json": b'{"hidden_size": 8}\n',
    "weights.bin": body(1, 9 * MiB + 123),
    "assets/part one.bin": body(2, 70001),
    "assets/deep/er/x.txt": b"deep\n",
    "assets/empty": b"",
}


@pytest.fixture
def tree(store):
    for name, data in TREE.items():
        store.put(f"models/m/{name}", data)
        store.set_object(f"models/m/{name}", last_modified=1700000000)
    return TREE


@pytest.fixture
def d(start_daemon, tree):
    return start_daemon({"cache": {"size": "512MiB"}}, prefix="m/")


def lines(out):
    assert out.returncode == 0, out.stderr
    assert out.stderr == b""
    return out.stdout.decode().splitlines()


def refused(out, code, *words):
    """Nothing on stdout, one line of ours on stderr that holds the words, that exit code."""
    text = out.stderr.decode()
    assert out.returncode == code, (out.returncode, out.stdout, text)
    assert out.stdout == b""
    assert text.startswith("ossc: ") and text.count("\n") == 1, text
    for word in words:
        assert word in text, (word, text)


def wait_until(true, what, timeout=20):
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


# ---- looking ---------------------------------------------------------------------------------


def test_ls_prints_names(d):
    assert lines(d.ossc("ls")) == ["assets/", "config.json", "weights.bin"]
    assert lines(d.ossc("ls", "assets")) == ["assets/deep/", "assets/empty", "assets/part one.bin"]
    assert lines(d.ossc("ls", "config.json", "assets/deep/")) == ["config.json", "assets/deep/er/"]


def test_ls_takes_full_addresses_and_paths_with_dots(d):
    assert lines(d.ossc("ls", "oss://models/m/assets/deep")) == ["assets/deep/er/"]
    assert lines(d.ossc("ls", "./assets/../assets//deep/")) == ["assets/deep/er/"]
    assert lines(d.ossc("ls", "oss://models")) == ["m/"]


def test_ls_recursive(d):
    assert lines(d.ossc("ls", "-R")) == [
        "assets/", "assets/deep/", "assets/deep/er/", "assets/deep/er/x.txt", "assets/empty", "assets/part one.bin",
        "config.json", "weights.bin"]


@pytest.mark.parametrize("flags", [["-l"], ["-lR"], ["-R", "-l"]])
def test_ls_long_shows_size_and_time_and_a_sum(flags, d):
    *entries, total = lines(d.ossc("ls", *flags))
    name, size = ("weights.bin", len(TREE["weights.bin"]))
    assert any(re.fullmatch(rf"-r--r--r-- +{size} 2023-11-14 22:13:20 {name}", e) for e in entries), entries
    assert any(re.fullmatch(r"dr-xr-xr-x +0 2023-11-14 22:13:20 assets/", e) for e in entries), entries
    shown = TREE.values() if "R" in "".join(flags) else [TREE["config.json"], TREE["weights.bin"]]
    assert total == f"{len(shown)} files, {sum(map(len, shown)) / MiB:.1f} MiB"


def test_ls_sees_what_was_put_since(d, store):
    assert "new.bin" not in lines(d.ossc("ls"))
    store.put("models/m/new.bin", b"new")
    assert "new.bin" in lines(d.ossc("ls"))


def test_stat_shows_what_a_program_sees(d):
    found = dict(re.split(r": +", line, maxsplit=1) for line in lines(d.ossc("stat", "weights.bin")))
    seen = d.run("stat", "-c", "%s %i %Y", d.path("weights.bin"))
    assert seen.stdout.decode().split() == [found["size"], found["inode"], "1700000000"], seen.stderr
    assert found["modified"] == "2023-11-14T22:13:20Z" and found["kind"] == "file" and found["etag"]
    assert "kind:     directory" in lines(d.ossc("stat", "assets"))


def test_cat_writes_the_bytes(d):
    out = d.ossc("cat", "config.json", "weights.bin", "assets/empty", "oss://models/m/assets/part one.bin")
    assert out.returncode == 0 and out.stderr == b""
    assert out.stdout == TREE["config.json"] + TREE["weights.bin"] + TREE["assets/part one.bin"]


@pytest.mark.parametrize("command,shown", [("cat weights.bin", TREE["weights.bin"][:1]), ("ls -lR", b"d")])
def test_a_reader_that_leaves_early_is_no_noise(command, shown, d):
    script = f'set -o pipefail; "$OSSC" {command} | head -c 1; exit ${{PIPESTATUS[0]}}'
    out = d.run("bash", "-c", script, preload=False, env={"OSSC": str(BUILD / "ossc")})
    assert out.stdout == shown and out.stderr == b""
    assert out.returncode in (0, 128 + signal.SIGPIPE)


@pytest.mark.parametrize("argv", [["ls"], ["status"], ["cat", "config.json"], ["--help"]], ids=" ".join)
def test_output_that_cannot_be_written_is_a_failure(argv, d):
    with open("/dev/full", "wb") as full:
        out = subprocess.run([BUILD / "ossc", *argv], env=d.env(), stdout=full, stderr=subprocess.PIPE, timeout=30)
    assert out.returncode == 1 and b"No space left" in out.stderr


# ---- get ---------------------------------------------------------------------------------------


def test_get_of_a_file_to_a_name_and_into_a_directory(d, tmp_path):
    for to, at in ((tmp_path / "w", tmp_path / "w"), (tmp_path, tmp_path / "weights.bin")):
        out = d.ossc("get", "weights.bin", to)
        assert out.returncode == 0 and out.stdout == b"" and out.stderr == b"", out.stderr
        assert at.read_bytes() == TREE["weights.bin"]
        assert at.stat().st_mtime == 1700000000
    assert sorted(p.name for p in tmp_path.glob("*.part*")) == []


def test_get_of_a_directory_has_every_file(d, tmp_path):
    want = {name: hashlib.sha256(data).hexdigest() for name, data in TREE.items()}
    assert lines(d.ossc("get", "", tmp_path / "all")) == []
    assert model.sums(tmp_path / "all") == want
    assert lines(d.ossc("get", "oss://models/m/assets/", tmp_path / "part")) == []
    assert model.sums(tmp_path / "part") == {n[7:]: s for n, s in want.items() if n.startswith("assets/")}


def test_get_again_fetches_only_what_is_missing(d, tmp_path, store):
    to = tmp_path / "all"
    assert lines(d.ossc("get", "", to)) == []
    (to / "config.json").unlink()
    inode = (to / "weights.bin").stat().st_ino
    assert lines(d.ossc("get", "", to)) == []
    assert (to / "config.json").read_bytes() == TREE["config.json"]
    assert (to / "weights.bin").stat().st_ino == inode


def test_get_replaces_an_older_copy(d, tmp_path):
    (tmp_path / "config.json").write_text("of last week")
    assert lines(d.ossc("get", "config.json", tmp_path / "config.json")) == []
    assert (tmp_path / "config.json").read_bytes() == TREE["config.json"]


@pytest.mark.parametrize("what,to,words", [
    ("nope", "x", ["nope", "no such file"]),
    ("weights.bin", "file/x", ["file/x", "Not a directory"]),
    ("assets", "file", ["file", "Not a directory"]),
    ("weights.bin", "absent/x", ["absent/x", "No such file"]),
])
def test_get_that_cannot_be_is_one_line(what, to, words, d, tmp_path):
    (tmp_path / "file").write_bytes(b"in the way")
    refused(d.ossc("get", what, tmp_path / to), 1, *words)
    assert (tmp_path / "file").read_bytes() == b"in the way"


SLOW = {"prefetch": {"vcpus": 1, "workers": 1}, "cache": {"size": "512MiB", "chunkSize": "1MiB"}, "expireTimeSec": 0}
BIG = 24 * MiB


@pytest.fixture
def slow(store, start_daemon):
    """A daemon that fetches a megabyte at a time and forgets it at once, and a big file in a slow store."""
    store.put("models/s/big.bin", body(3, BIG))
    store.limits(total_bps=20 * MiB)
    return start_daemon(SLOW, prefix="s/")


def interrupt(d, store, to, least=6 * MiB):
    """Stop `ossc get big.bin` with SIGINT when some of it is on the disk; -> how much."""
    part = to.with_name(to.name + ".part")
    p = subprocess.Popen([BUILD / "ossc", "get", "big.bin", to], env=d.env(), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    wait_until(lambda: p.poll() is not None or (part.exists() and part.stat().st_size >= least), "nothing arrived")
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=20)
    assert p.returncode == 130, err
    assert out == b"" and err.count(b"\n") == 1 and b"again" in err
    assert not to.exists()
    store.limits(total_bps=0)
    size = part.stat().st_size
    assert least <= size < BIG and part.read_bytes() == body(3, BIG)[:size]
    # What the daemon had of it is gone: only the disk remembers.
    wait_until(lambda: d.status()["cache"]["used"] == 0, "the daemon keeps what nobody reads")
    store.reset()
    return size


def test_get_goes_on_where_it_was_interrupted(slow, store, tmp_path):
    to = tmp_path / "big.bin"
    size = interrupt(slow, store, to)
    assert lines(slow.ossc("get", "big.bin", to)) == []
    assert to.read_bytes() == body(3, BIG)
    assert store.counters("models/s/big.bin")["bytes"] <= BIG - size + 3 * MiB
    assert os.listdir(tmp_path) == ["big.bin"]


def test_get_of_an_object_that_changed_meanwhile_starts_over(slow, store, tmp_path):
    to = tmp_path / "big.bin"
    interrupt(slow, store, to)
    store.put("models/s/big.bin", body(4, BIG))
    assert lines(slow.ossc("get", "big.bin", to)) == []
    assert to.read_bytes() == body(4, BIG)
    assert store.counters("models/s/big.bin")["bytes"] >= BIG
    assert os.listdir(tmp_path) == ["big.bin"]


def test_get_finds_a_part_that_was_damaged_and_starts_over(slow, store, tmp_path):
    to = tmp_path / "big.bin"
    interrupt(slow, store, to)
    with open(str(to) + ".part", "r+b") as f:
        f.seek(12345)
        f.write(b"damaged")
    assert lines(slow.ossc("get", "big.bin", to)) == []
    assert to.read_bytes() == body(3, BIG)


def test_get_finishes_a_part_that_is_whole(slow, store, tmp_path):
    to = tmp_path / "big.bin"
    interrupt(slow, store, to)
    with open(str(to) + ".part", "wb") as f:
        f.write(body(3, BIG))
    assert lines(slow.ossc("get", "big.bin", to)) == []
    assert to.read_bytes() == body(3, BIG)
    assert store.counters("models/s/big.bin")["bytes"] <= 3 * MiB


def test_get_on_a_full_disk_keeps_what_has_come(d, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", small],
                                           capture_output=True).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        refused(d.ossc("get", "weights.bin", small / "w"), 1, "no space left", str(small))
        assert os.path.getsize(small / "w.part") > MiB and not (small / "w").exists()
        subprocess.run(["mount", "-o", "remount,size=32m", small], check=True)
        assert lines(d.ossc("get", "weights.bin", small / "w")) == []
        assert (small / "w").read_bytes() == TREE["weights.bin"]
    finally:
        subprocess.run(["umount", small], check=True)


@contextlib.contextmanager
def on_a_terminal(argv, env, stream):
    """Run argv with one of its streams on a pseudo-terminal; yields (process, read())."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: theirs}
    # A shell's background jobs ignore the interrupt; a terminal's foreground does not.
    p = subprocess.Popen([str(a) for a in argv], env=env, **streams,
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    os.close(theirs)
    seen = bytearray()

    def read(true, timeout=20):
        deadline = time.monotonic() + timeout
        while not true(seen.decode(errors="replace")):
            left = deadline - time.monotonic()
            assert left > 0, seen
            if not select.select([ours], [], [], left)[0]:
                continue
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                piece = b""
            if not piece:
                break
            seen.extend(piece)
        return seen.decode(errors="replace")

    def resize(columns):
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    read.resize = resize
    try:
        yield p, read
    finally:
        if p.poll() is None:
            p.kill()
        p.wait()
        os.close(ours)


def test_get_on_a_terminal_shows_rate_and_time_left(slow, tmp_path):
    with on_a_terminal([BUILD / "ossc", "get", "big.bin", tmp_path / "b"], slow.env(), "stderr") as (p, read):
        shown = read(lambda text: False)
        assert p.wait(20) == 0
    states = [s for s in shown.split("\r") if "left" in s]
    assert len(states) >= 2, shown
    pattern = r"\d+ of 1 files, [\d.]+ \w+ of 24.0 MiB, [\d.]+ \w+/s, (\d+ s|\?) left"
    assert all(re.search(pattern, s) for s in states), states
    assert "1 of 1 files, 24.0 MiB of 24.0 MiB" in states[-1]


# ---- prefetch, status, mount ------------------------------------------------------------------------


def test_prefetch_wait_returns_when_all_is_there(d, store):
    # Mounts of longer and shorter names, before and after it, are not mistaken for this one.
    for other in ("oss://models/m/assets/", "oss://models/m/", "oss://models/"):
        assert d.ossc("ls", other).returncode == 0
    store.limits(total_bps=20 * MiB)
    size = sum(map(len, TREE.values()))
    assert lines(d.ossc("prefetch", "--wait")) == [f"{size / MiB:.1f} MiB in the cache"]
    assert store.counters()["bytes"] >= size
    mount = next(m for m in d.status()["mounts"] if m["oss_path"] == "oss://models/m/")
    assert mount["cached_bytes"] == size and mount["prefetch"] == "done" and mount["keep"]
    store.reset()
    assert d.run("cat", d.path("weights.bin")).stdout == TREE["weights.bin"]
    assert "models/m/weights.bin" not in store.counters()["by_key"]


def test_prefetch_of_one_file_takes_no_other(d, store):
    assert d.ossc("prefetch", "--wait", "config.json").returncode == 0
    assert store.counters("models/m/config.json")["bytes"] == len(TREE["config.json"])
    assert "models/m/weights.bin" not in store.counters()["by_key"]
    refused(d.ossc("prefetch", "nope"), 1, "nope")


def test_prefetch_that_fails_says_so(start_daemon, store, tree):
    store.fault("GET models/m/weights.bin", "status", status=403, code="AccessDenied")
    d = start_daemon(prefix="m/")
    refused(d.ossc("prefetch", "--wait"), 1, "1 file could", "log")


def test_prefetch_of_more_than_the_cache_holds_ends_and_says_so(start_daemon, store):
    for i in range(4):
        store.put(f"models/s/{i}.bin", body(i, 12 * MiB))
    d = start_daemon({"cache": {"size": "24MiB", "chunkSize": "1MiB"}}, prefix="s/")
    refused(d.ossc("prefetch", "--wait"), 1, "full", "48.0 MiB", "cache.size")


def test_status_tells_how_the_daemon_is(d):
    assert d.run("cat", d.path("weights.bin")).returncode == 0
    text = "\n".join(lines(d.ossc("status")))
    for word in (f"pid {d.pid}", str(d.socket), "512.0 MiB", "oss://models/m/"):
        assert word in text, text
    status = json.loads(d.ossc("status", "--json").stdout)
    assert status["daemon"]["pid"] == d.pid and status["fetch"]["bytes"] >= len(TREE["weights.bin"])


def test_status_as_json_is_valid_whatever_names_hold(start_daemon, store):
    store.put('models/q"uo\\te/größe/x', b"1")
    d = start_daemon(prefix='q"uo\\te/größe/')
    assert d.ossc("mount").returncode == 0
    assert [m["oss_path"] for m in d.status()["mounts"]] == ['oss://models/q"uo\\te/größe/']


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_status_watch_goes_on_until_it_is_interrupted(flags, d):
    with on_a_terminal([BUILD / "ossc", "status", "--watch", *flags], d.env(), "stdout") as (p, read):
        read(lambda text: text.count("cache") >= 1)
        p.send_signal(signal.SIGINT)
        assert p.wait(10) in (-signal.SIGINT, 130)


def test_status_starts_no_daemon(store):
    from daemon import Daemon
    with Daemon.unstarted(store) as d:
        for argv in (["status"], ["umount"]):
            refused(d.ossc(*argv), 1, str(d.socket))
        assert not d.socket.exists()


def test_a_kept_mount_waits_for_secondaries(d):
    absent = d.run("cat", d.path("config.json"), role=2, env={"OSSC_WAIT_SEC": "0"})
    assert absent.returncode != 0 and absent.stdout == b""
    assert "oss://models/m/" in lines(d.ossc("mount"))[0]
    assert d.run("cat", d.path("config.json"), role=2).stdout == TREE["config.json"]
    assert [m["keep"] for m in d.status()["mounts"]] == [True]
    assert lines(d.ossc("umount")) != []
    assert [m["keep"] for m in d.status()["mounts"]] in ([], [False])


def test_umount_of_what_is_not_mounted_says_so(d):
    assert d.ossc("mount").returncode == 0
    refused(d.ossc("umount", "oss://models/m/assets/"), 1, "oss://models/m/assets/", "not mounted")
    refused(d.ossc("umount", env={"OSS_ACCESS_KEY_SECRET": "another"}), 1, "not mounted")
    assert [m["keep"] for m in d.status()["mounts"]] == [True]


# ---- doctor ------------------------------------------------------------------------------------------


def findings(out):
    """{what: (verdict, text)}; every line has that shape."""
    found = {}
    for line in out.stdout.decode().splitlines():
        shape = re.fullmatch(r"(ok  |warn|fail)  (.{14}) (.+)", line)
        assert shape, line
        found.setdefault(shape[2].strip(), (shape[1].strip(), shape[3]))
    return found


def test_doctor_finds_nothing_wrong(d):
    out = d.ossc("doctor", env={"ENABLE_CONNECTOR": "1", "HTTP_SOURCE_IP": "127.0.0.1"})
    found = findings(out)
    assert out.returncode == 0, out.stdout
    assert {"configuration", "OSS_PATH", "credentials", "MODEL_DIR", "source", "descriptors", "userfaultfd", "daemon",
            "store", "clock", "memory"} <= set(found)
    assert "fail" not in [verdict for verdict, _ in found.values()]
    assert f"{len(TREE)} files" in found["store"][1]


@pytest.mark.parametrize("env,what,words", [
    ({"OSS_PATH": "models/m"}, "OSS_PATH", ["oss://"]),
    ({"OSS_PATH": ""}, "OSS_PATH", ["oss://bucket/prefix/"]),
    ({"OSS_ACCESS_KEY_SECRET": ""}, "credentials", ["OSS_ACCESS_KEY_SECRET", "anonymous"]),
    ({"OSS_ACCESS_KEY_SECRET": "wrong"}, "store", ["SignatureDoesNotMatch"]),
    ({"OSS_ENDPOINT": "http://127.0.0.1:1"}, "store", ["127.0.0.1"]),
    ({"HTTP_SOURCE_IP": "127.0.0.1,192.0.2.7"}, "source", ["192.0.2.7", "ip addr"]),
    ({"ENABLE_CONNECTOR": "yes"}, "role", ["1 (primary)"]),
    ({"MODEL_DIR": "/dev/null"}, "MODEL_DIR", ["/dev/null", "directory"]),
    ({"LD_PRELOAD": "/nonexistent/libossc_preload.so"}, "LD_PRELOAD", ["/nonexistent"]),
    ({"OSSC_SOCKET": "/nonexistent/osscd.sock", "OSSC_DAEMON": "/nonexistent/osscd"}, "daemon", ["OSSC_DAEMON"]),
], ids=lambda v: "+".join(v) if isinstance(v, dict) else "")
def test_doctor_says_what_is_wrong_and_what_to_do(env, what, words, tree, start_daemon):
    d = start_daemon({"network": {"retrySec": 1, "connectTimeoutSec": 1}}, prefix="m/")
    out = d.ossc("doctor", env=env)
    assert out.returncode == 1
    failed = [line for line in out.stdout.decode().splitlines() if line.startswith("fail")]
    assert any(line[6:20].strip() == what and all(w in line for w in words) for line in failed), out.stdout.decode()


def test_doctor_shows_faults_of_the_configuration(d):
    d.conf_path.write_text("logLevel: high\n")
    out = d.ossc("doctor")
    assert out.returncode == 1 and findings(out)["configuration"][0] == "fail"
    assert "config.json:1" in findings(out)["configuration"][1]


# ---- usage -----------------------------------------------------------------------------------------------


def bare(*argv, **env):
    """Without any setting of ours, where no daemon listens or can be started."""
    base = {k: v for k, v in os.environ.items() if not k.startswith("OSS")}
    base.update({"OSSC_SOCKET": "/nonexistent/osscd.sock", "OSSC_DAEMON": "/nonexistent/osscd"}, **env)
    return subprocess.run([BUILD / "ossc", *argv], env=base, capture_output=True, timeout=20)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help(command, flag):
    out = bare(command, flag)
    assert out.returncode == 0 and out.stderr == b""
    assert out.stdout.decode().startswith(f"usage: ossc {command}") and b"OSS_PATH" in out.stdout


def test_help_names_every_command():
    out = bare("--help")
    assert out.returncode == 0 and out.stderr == b""
    shown = re.findall(r"^  ([a-z]+)  ", out.stdout.decode(), re.M)
    assert shown == COMMANDS
    none = bare()
    assert none.returncode == 2 and none.stdout == b"" and none.stderr == out.stdout
    assert bare("--version").stdout.startswith(b"ossc 0.")


@pytest.mark.parametrize("argv", [
    ["frobnicate"], ["--frobnicate"], ["ls", "-x"], ["ls", "--long"], ["stat"], ["stat", "-x", "a"], ["cat"],
    ["cat", "-n", "a"], ["get"], ["get", "a"], ["get", "a", "b", "c"], ["get", "-x", "a", "b"], ["prefetch", "--now"],
    ["prefetch", "a", "b"], ["status", "--xml"], ["status", "a"], ["mount", "a", "b", "c"], ["mount", "-x"],
    ["umount", "a", "b"], ["umount", "-x"], ["doctor", "--fix"]], ids=" ".join)
def test_wrong_usage_is_code_2_and_one_line_that_points_to_help(argv):
    refused(bare(*argv, OSS_PATH="oss://models/m/"), 2, "--help")


@pytest.mark.parametrize("argv", [["ls"], ["stat", "x"], ["cat", "x"], ["get", "x", "y"], ["prefetch"], ["mount"],
                                  ["umount"]], ids=" ".join)
def test_without_a_bucket_one_line_says_how_to_name_it(argv):
    refused(bare(*argv), 2, "oss://bucket")


@pytest.mark.parametrize("argv", [["ls"], ["stat", "x"], ["cat", "x"], ["get", "x", "y"], ["prefetch"], ["mount"]],
                         ids=" ".join)
def test_without_a_daemon_one_line_says_what_to_do(argv):
    refused(bare(*argv, OSS_PATH="oss://models/m/"), 1, "OSSC_DAEMON")


@pytest.mark.parametrize("argv,words", [
    (["ls", "nope"], ["nope", "no such file", "oss://models/m/"]),
    (["stat", "nope"], ["nope", "no such file"]),
    (["cat", "nope"], ["nope", "no such file"]),
    (["cat", "assets"], ["assets", "directory"]),
    (["cat", "config.json/x"], ["config.json/x"]),
    (["ls", "oss://absent-bucket/"], ["absent-bucket"]),
    (["ls", "oss://models/none-such/"], ["none-such/"]),
], ids=lambda v: " ".join(v))
def test_a_failure_is_one_line_on_stderr_and_code_1(argv, words, d):
    refused(d.ossc(*argv), 1, *words)
