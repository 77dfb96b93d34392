"""Right bytes or a clear errno, whatever the store, the network or the daemon do."""
import errno
import hashlib
import json
import os
import random
import subprocess
import sys
import time

import pytest

from conftest import KEY

MiB = 1 << 20
SIZE = 20 * MiB + 12345
NAME = "models/w/w.bin"
FAST = {"network": {"idleTimeoutSec": 2, "retrySec": 20}, "cache": {"size": "256MiB"}}


def body(seed=5, size=SIZE):
    return random.Random(seed).randbytes(size)


@pytest.fixture
def served(store):
    store.put(NAME, body())
    return store


READ = """
import errno, hashlib, os, sys
try:
    fd = os.open(sys.argv[1], os.O_RDONLY)
    h, n = hashlib.sha256(), 0
    while piece := os.read(fd, 1 << 20):
        h.update(piece)
        n += len(piece)
    print(h.hexdigest(), n)
except OSError as e:
    print(errno.errorcode[e.errno])
"""


def read(d, name="w.bin", timeout=100):
    """-> (sha256, bytes) as text, or the name of the errno."""
    out = d.run(sys.executable, "-c", READ, d.path(name), timeout=timeout)
    assert out.returncode == 0, out.stderr
    return out.stdout.decode().strip()


def right(data=None):
    data = body() if data is None else data
    return f"{hashlib.sha256(data).hexdigest()} {len(data)}"


GET = "GET models/w/w.bin"


@pytest.mark.parametrize("fault", [
    dict(action="status", status=500, code="InternalError", probability=0.5, seed=1),
    dict(action="status", status=503, code="ServiceUnavailable", times=3),
    dict(action="qos", ms=200, times=4),
    dict(action="reset_at", at=300_000, times=4),
    dict(action="reset_at", at=1, times=2),
    dict(action="truncate_at", at=1_000_000, times=4),
    dict(action="close_before_head", times=4),
    dict(action="overlong", bytes=5000, times=2),
    dict(action="stall_at", at=200_000, times=2),
    dict(action="as_200", times=2),
    dict(action="wrong_range", times=2),
    dict(action="wrong_length", times=2),
    dict(action="gzip", times=2),
    dict(action="status", status=503, code="SlowDown", body="html", times=2),
    dict(action="status", status=500, code="InternalError", body="none", times=2),
], ids=lambda f: "-".join(str(v) for v in f.values()))
def test_the_bytes_are_right_despite(fault, served, start_daemon):
    served.fault(match=GET, **fault)
    d = start_daemon(FAST, prefix="w/")
    assert read(d) == right()
    assert d.status()["fetch"]["retries"] > 0


def test_a_flipped_byte_is_found_when_the_object_is_complete(served, start_daemon):
    served.fault(match=GET, action="flip", at=9_000_000)
    d = start_daemon({**FAST, "verify": "on"}, prefix="w/")
    first = read(d)
    assert first in ("EIO", right(flipped(9_000_000)))
    assert read(d) == "EIO"
    assert d.status()["cache"]["mismatches"] == 1
    assert any("w/w.bin" in line and "CRC" in line for line in d.log().splitlines())


def flipped(at):
    data = bytearray(body())
    data[at] ^= 0xFF
    return bytes(data)


def test_strict_never_serves_a_flipped_byte(served, start_daemon):
    served.fault(match=GET, action="flip", at=9_000_000)
    d = start_daemon({**FAST, "verify": "strict"}, prefix="w/")
    assert read(d) == "EIO"


def test_strict_serves_what_is_right(served, start_daemon):
    d = start_daemon({**FAST, "verify": "strict"}, prefix="w/")
    assert read(d) == right()


def test_ossc_get_never_leaves_a_flipped_byte(served, start_daemon, tmp_path):
    served.fault(match=GET, action="flip", at=9_000_000)
    d = start_daemon(FAST, prefix="w/")
    out = d.ossc("get", "w.bin", tmp_path / "w.bin")
    assert out.returncode != 0 and out.stderr
    assert not (tmp_path / "w.bin").exists()


def test_an_object_replaced_in_mid_load_is_estale(served, start_daemon):
    program = """
import errno, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
first = os.pread(fd, 1000, 0)
print(first.hex(), flush=True)
sys.stdin.readline()
try:
    os.pread(fd, 1000, os.fstat(fd).st_size - 1000)
    print('READ')
except OSError as e:
    print(errno.errorcode[e.errno])
"""
    size = 200 * MiB
    served.put(NAME, body(5, size))
    served.limits(per_connection_bps=2_000_000)
    d = start_daemon({**FAST, "prefetch": {"vcpus": 1, "workers": 1}}, prefix="w/")
    p = subprocess.Popen([sys.executable, "-c", program, d.path("w.bin")], env=d.preload(), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline().strip() == body(5, size)[:1000].hex()
    served.put(NAME, body(6, size))
    served.limits(per_connection_bps=0)
    out, _ = p.communicate("\n", timeout=60)
    assert out.strip() == "ESTALE"
    assert any("w/w.bin" in line and "replaced" in line for line in d.log().splitlines())
    assert read(d).split()[0] == hashlib.sha256(body(6, size)).hexdigest()


def test_an_expired_token_followed_by_fresh_credentials_goes_on(served, start_daemon, tmp_path):
    path = tmp_path / "credentials"

    def write(ak, sk, token):
        new = tmp_path / "new"
        new.write_text(json.dumps({"AccessKeyId": ak, "AccessKeySecret": sk, "SecurityToken": token}))
        new.replace(path)

    served.keys("STS.one", "secret-one", token="token-one", expires=int(time.time()) + 3600)
    served.keys("STS.two", "secret-two", token="token-two", expires=int(time.time()) + 3600)
    write("STS.one", "secret-one", "token-one")
    d = start_daemon({**FAST, "credentials": {"path": str(path)}, "prefetch": {"vcpus": 1, "workers": 1}},
                     prefix="w/", key=None)
    served.limits(per_connection_bps=8_000_000)
    p = subprocess.Popen([sys.executable, "-c", READ, d.path("w.bin")], env=d.preload(), stdout=subprocess.PIPE)
    while served.counters(NAME)["requests"] == 0:
        assert p.poll() is None
        time.sleep(0.01)
    served.keys("STS.one", "secret-one", token="token-one", expires=int(time.time()) - 10)
    write("STS.two", "secret-two", "token-two")
    served.limits(per_connection_bps=0)
    out, _ = p.communicate(timeout=60)
    assert out.decode().strip() == right()
    assert "token-one" not in d.log() and "secret-one" not in d.log()


def test_the_daemon_killed_in_mid_read_is_an_error_not_zeros(served, start_daemon):
    served.limits(per_connection_bps=500_000)
    d = start_daemon({**FAST, "prefetch": {"vcpus": 1, "workers": 1}}, prefix="w/")
    env = d.preload()
    env["OSSC_DAEMON"] = "/nonexistent/osscd"
    p = subprocess.Popen([sys.executable, "-c", READ, d.path("w.bin")], env=env, stdout=subprocess.PIPE)
    while served.counters(NAME)["requests"] == 0:
        assert p.poll() is None
        time.sleep(0.01)
    d.kill()
    out, _ = p.communicate(timeout=90)
    assert out.decode().strip() in ("EIO", "ECONNRESET", "ETIMEDOUT")


@pytest.mark.parametrize("code,status,expected", [
    ("AccessDenied", 403, "EACCES"), ("SignatureDoesNotMatch", 403, "EACCES"), ("InvalidObjectState", 403, None),
])
def test_a_final_refusal_is_not_retried(code, status, expected, served, start_daemon):
    served.fault(match=GET, action="status", status=status, code=code)
    d = start_daemon(FAST, prefix="w/")
    answer = read(d)
    assert answer in ((expected,) if expected else ("EIO", "EACCES"))
    assert served.counters(NAME)["requests"] <= 64
    assert any("w/w.bin" in line for line in d.log().splitlines())


def test_no_secret_is_in_log_or_audit(served, start_daemon):
    d = start_daemon(FAST, prefix="w/")
    assert read(d) == right()
    written = d.log() + d.audit_path.read_text() + json.dumps(d.status())
    for secret in (KEY[1], "Signature=", "Authorization"):
        assert secret not in written
    assert '"op"' in d.audit_path.read_text()
