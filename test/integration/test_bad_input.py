"""Bad input gives one clear line that says what was wrong, and the right errno or exit code."""
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys

import pytest

from conftest import KEY
from daemon import BUILD, Daemon

CAT = ("cat",)


def one_line(stderr, *words):
    """The line of ours on stderr, which must hold every word."""
    text = stderr.decode(errors="replace") if isinstance(stderr, bytes) else stderr
    ours = [line for line in text.splitlines() if "oss" in line]
    assert len(ours) >= 1, text
    assert any(all(word in line for word in words) for line in ours), (words, text)


def check_config(tmp_path, text, name="config.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return subprocess.run([BUILD / "osscd", "--check-config", path], capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("text,line,word", [
    ("logLevel: high\n", 1, "logLevel"),
    ("logLevel: 7\n", 1, "0"),
    ("expireTimeSec: -1\n", 1, "expireTimeSec"),
    ("a: 1\nprefetch:\n  vcpus: many\n", 3, "prefetch.vcpus"),
    ("prefetch:\n  workers: 0\n", 2, "prefetch.workers"),
    ("fastList:\n  vcpus: []\n", 2, "fastList.vcpus"),
    ("cache:\n  size: 10 bananas\n", 2, "cache.size"),
    ("cache:\n  chunkSize: 3MiB\n", 2, "cache.chunkSize"),
    ("verify: perhaps\n", 1, "verify"),
    ("mmap: sometimes\n", 1, "mmap"),
    ("logLevel: 1\nlogLevel: 2\n", 2, "logLevel"),
    ("prefetch: 3\n", 1, "prefetch"),
    ("logLevel: [1\n", 2, ""),
])
def test_a_wrong_configuration_is_named_with_file_and_line(text, line, word, tmp_path):
    out = check_config(tmp_path, text)
    assert out.returncode == 1, out.stdout + out.stderr
    assert f"config.yaml:{line}" in out.stdout + out.stderr
    assert word in out.stdout + out.stderr


def test_an_unknown_key_is_a_warning_with_file_and_line(tmp_path):
    out = check_config(tmp_path, '{\n "logLevel": 1,\n "colour": "red"\n}\n', "config.json")
    assert out.returncode == 0
    assert "config.json:3" in out.stdout + out.stderr and "colour" in out.stdout + out.stderr


def test_the_shipped_configurations_are_right():
    top = pathlib.Path(__file__).resolve().parents[2]
    for name in ("conf/config.json", "conf/osscd.yaml"):
        out = subprocess.run([BUILD / "osscd", "--check-config", top / name], capture_output=True, text=True)
        assert out.returncode == 0 and "warn" not in (out.stdout + out.stderr).lower(), out.stderr


def test_an_unknown_option_says_so():
    out = subprocess.run([BUILD / "osscd", "--colour"], capture_output=True, text=True)
    assert out.returncode == 2 and "--colour" in out.stderr
    assert subprocess.run([BUILD / "osscd", "--version"], capture_output=True, text=True).returncode == 0


@pytest.fixture
def served(store):
    store.put("models/w/x.txt", b"hello\n")
    return store


@pytest.mark.parametrize("env,words", [
    ({"OSS_PATH": "foo"}, ["OSS_PATH", "oss://"]),
    ({"OSS_PATH": "oss://"}, ["OSS_PATH"]),
    ({"OSS_PATH": "oss://Bad_Bucket/x/"}, ["bucket"]),
    ({"OSS_PATH": "oss://models/nothing-here/"}, ["nothing-here"]),
    ({"OSS_PATH": "oss://no-such-bucket/x/"}, ["no-such-bucket"]),
    ({"OSS_ENDPOINT": "http://127.0.0.1:1"}, ["127.0.0.1"]),
    ({"OSS_ENDPOINT": "http://no-such-host.invalid"}, ["no-such-host.invalid"]),
    ({"OSS_ENDPOINT": "ftp://x"}, ["OSS_ENDPOINT"]),
    ({"OSS_REGION": "cn-nowhere"}, ["region"]),
    ({"OSS_ACCESS_KEY_SECRET": "wrong"}, ["SignatureDoesNotMatch"]),
    ({"OSS_ACCESS_KEY_ID": "LTAIunknown"}, ["InvalidAccessKeyId"]),
    ({"HTTP_SOURCE_IP": "192.0.2.77"}, ["192.0.2.77"]),
    ({"HTTP_SOURCE_IP": "one,two"}, ["HTTP_SOURCE_IP"]),
], ids=lambda v: "+".join(f"{k}={x}" for k, x in v.items()) if isinstance(v, dict) else "")
def test_a_wrong_environment_is_one_clear_line(env, words, served, start_daemon):
    d = start_daemon({"network": {"retrySec": 2, "connectTimeoutSec": 2}}, prefix="w/")
    out = d.run("cat", d.path("x.txt"), env=env)
    assert out.returncode != 0 and out.stdout == b""
    one_line(out.stderr, *words)
    out = d.ossc("ls", "-l", env=env)
    assert out.returncode != 0 and out.stdout == b""
    one_line(out.stderr, *words)


def test_a_certificate_of_another_name_is_refused(start_daemon, tmp_path):
    from store import Store
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=other.test",
                    "-addext", "subjectAltName=DNS:other.test", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    with Store(keys=[KEY], buckets=["models"], tls=(cert, key)) as tls:
        tls.put("models/w/x.txt", b"hello\n")
        d = Daemon(tls, {"network": {"retrySec": 2, "caFile": str(cert)}}, prefix="w/", key=KEY,
                   endpoint=tls.https_endpoint)
        with d:
            out = d.run("cat", d.path("x.txt"))
            assert out.returncode != 0 and out.stdout == b""
            one_line(out.stderr, "certificate")


def test_https_with_a_right_certificate_reads(tmp_path):
    from store import Store
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    data = os.urandom(20 << 20)
    with Store(keys=[KEY], buckets=["models"], tls=(cert, key)) as tls:
        tls.put("models/w/x.bin", data)
        with Daemon(tls, {"network": {"caFile": str(cert)}}, prefix="w/", key=KEY, endpoint=tls.https_endpoint) as d:
            assert d.run("cat", d.path("x.bin")).stdout == data


def test_a_skewed_clock_is_corrected(served, start_daemon):
    served.clock(3600)
    d = start_daemon(prefix="w/")
    out = d.run("cat", d.path("x.txt"))
    assert out.stdout == b"hello\n", out.stderr
    assert "clock" in d.log()


def test_keys_that_cannot_be_shown_are_left_out_with_a_warning(store, start_daemon):
    for key in ("ok.txt", "a//b", "x/../y", "./z", "n" * 300, "both", "both/inside", "with\nnewline", "dir/"):
        store.put(f"models/k/{key}", b"data of " + key.encode()[:10])
    d = start_daemon(prefix="k/")
    out = d.run(sys.executable, "-c", "import os,sys,json; print(json.dumps(sorted("
                "os.path.relpath(os.path.join(h,n),sys.argv[1]) for h,ds,fs in os.walk(sys.argv[1]) for n in ds+fs)))",
                d.path())
    assert out.returncode == 0, out.stderr
    assert json.loads(out.stdout) == ["both", "both/inside", "dir", "ok.txt", "with\nnewline"]
    assert d.run("cat", d.path("both/inside")).stdout == b"data of both/insid"
    assert d.run("cat", d.path("with\nnewline")).stdout == b"data of with\nnewli"
    assert "cannot be shown" in d.log() and "\nnewline" not in d.log()


def test_a_name_of_1023_bytes(store, start_daemon):
    key = "/".join(["d" * 200] * 5)[:1023 - 2]
    store.put(f"models/{key}", b"deep")
    d = start_daemon()
    assert d.run("cat", d.path(key)).stdout == b"deep"


def test_a_second_daemon_on_the_same_socket_is_refused(served, start_daemon):
    d = start_daemon(prefix="w/")
    out = subprocess.run([BUILD / "osscd", "--config", d.conf_path, "--socket", d.socket], capture_output=True,
                         text=True, timeout=20)
    assert out.returncode == 1 and str(d.pid) in out.stderr and str(d.socket) in out.stderr
    assert d.run("cat", d.path("x.txt")).stdout == b"hello\n"


def test_a_socket_directory_that_cannot_be_written(served, tmp_path):
    out = subprocess.run([BUILD / "osscd", "--socket", "/proc/nowhere/osscd.sock"], capture_output=True, text=True,
                         timeout=20)
    assert out.returncode == 1 and "/proc/nowhere" in out.stderr and len(out.stderr.strip().splitlines()) <= 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a folder of another user")
def test_a_socket_directory_of_somebody_else_is_refused(served, tmp_path):
    # As an ordinary user whose default folder was made by another one first.
    uid = 61234
    theirs = pathlib.Path(f"/tmp/ossc-{uid}")
    shutil.rmtree(theirs, ignore_errors=True)
    theirs.mkdir(mode=0o755)
    os.chown(theirs, 61235, 61235)
    try:
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        build = tmp_path / "bin"
        build.mkdir()
        shutil.copy(BUILD / "osscd", build / "osscd")
        for p in (tmp_path, *tmp_path.parents):
            if p == pathlib.Path("/tmp"):
                break
            os.chmod(p, 0o755)
        out = subprocess.run([build / "osscd"], env=env, user=uid, group=uid, extra_groups=[], capture_output=True,
                             text=True, timeout=20)
        assert out.returncode == 1 and str(theirs) in out.stderr, out.stderr
    finally:
        shutil.rmtree(theirs)


def test_a_hello_of_another_version_is_answered_with_both_versions(served, start_daemon):
    d = start_daemon(prefix="w/")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(str(d.socket))
        s.send(struct.pack("<IHHIiII", 0x4353534F, 99, 1, 7, 0, 24 + 8 + 32, 0) + struct.pack("<II32s", 99, 0, b"x"))
        answer = s.recv(65536)
    magic, _, kind, seq, status, _, _ = struct.unpack("<IHHIiII", answer[:24])
    assert (magic, kind, seq) == (0x4353534F, 1, 7) and status < 0
    assert b"99" in answer[24:] and b"1" in answer[24:]
    assert d.run("cat", d.path("x.txt")).stdout == b"hello\n"


def test_junk_on_the_socket_harms_nobody(served, start_daemon):
    d = start_daemon(prefix="w/")
    for junk in (b"", b"x", b"\0" * 24, os.urandom(500), b"\xff" * 16000):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(str(d.socket))
            try:
                s.send(junk)
            except OSError:
                pass
    assert d.run("cat", d.path("x.txt")).stdout == b"hello\n"


def test_a_local_file_with_a_stores_name_gives_a_warning_and_the_stores_bytes(served, start_daemon):
    d = start_daemon(prefix="w/")
    d.model_dir.mkdir()
    (d.model_dir / "x.txt").write_text("local\n")
    (d.model_dir / "mine.txt").write_text("mine\n")
    out = d.run("cat", d.path("x.txt"), d.path("mine.txt"))
    assert out.stdout == b"hello\nmine\n"
    assert b"x.txt" in out.stderr and b"local" in out.stderr


def test_model_dir_that_cannot_be_made(served, start_daemon):
    d = start_daemon(prefix="w/")
    (d.dir / "plain").write_text("a file")
    out = d.run("cat", f"{d.dir}/plain/model/x.txt", env={"MODEL_DIR": f"{d.dir}/plain/model"})
    # Names that are given whole can be read all the same; what needs the directory cannot.
    one_line(out.stderr, "MODEL_DIR")
    assert out.stdout == b"hello\n"


def test_writing_is_refused_with_erofs(served, start_daemon):
    d = start_daemon(prefix="w/")
    program = """
import errno, os, sys
def code(f, *a):
    try:
        f(*a)
        return 'done'
    except OSError as e:
        return errno.errorcode[e.errno]
p = sys.argv[1]
print(code(os.open, p, os.O_WRONLY), code(os.open, p, os.O_RDWR), code(os.unlink, p), code(os.rename, p, p + 'x'),
      code(os.truncate, p, 0), code(os.chmod, p, 0o600))
"""
    out = d.run(sys.executable, "-c", program, d.path("x.txt"))
    assert out.stdout.decode().split() == ["EROFS"] * 6, out.stderr
    assert d.run("cat", d.path("x.txt")).stdout == b"hello\n"


def test_doctor_says_what_is_wrong(served, start_daemon):
    d = start_daemon(prefix="w/")
    assert d.ossc("doctor").returncode == 0
    out = d.ossc("doctor", env={"OSS_ACCESS_KEY_SECRET": "wrong"})
    assert out.returncode == 1 and b"SignatureDoesNotMatch" in out.stdout + out.stderr
