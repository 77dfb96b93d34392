"""The laws of the design as whole stories: what must hold in real programs, whatever happens."""
import json
import random
import signal
import socket
import subprocess
import sys

import pytest

from conftest import KEY
from daemon import BUILD, Daemon

MiB = 1 << 20
NAME = "models/w/w.bin"
TOKEN = ("STS.NobodyRepeatsThisId", "NobodyRepeatsThisSecret", "NobodyRepeatsThisToken")
PROGRAMS = BUILD / "test" / "programs"


def body(size, seed=5):
    return random.Random(seed).randbytes(size)


# ---- 1: never a wrong byte; 2: one version -----------------------------------------------


def test_a_vector_whose_end_cannot_be_had_is_an_error_and_no_short_read(store, start_daemon):
    """The first buffer's bytes are there, the second's never come: a short count would be taken for the end."""
    program = """
import errno, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
os.pread(fd, 1000, 0)
print("there", flush=True)
sys.stdin.readline()
for read in (lambda v: os.preadv(fd, v, 0), lambda v: os.readv(fd, v)):
    try:
        print("READ", read([bytearray(1000), bytearray(15 << 20)]))
    except OSError as e:
        print(errno.errorcode[e.errno])
print(os.lseek(fd, 0, os.SEEK_CUR))
"""
    store.put(NAME, body(20 * MiB))
    store.limits(per_connection_bps=200_000)
    d = start_daemon({"prefetch": {"vcpus": 1, "workers": 1}}, prefix="w/")
    p = subprocess.Popen([sys.executable, "-c", program, d.path("w.bin")], env=d.preload(), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "there\n"
    store.put(NAME, body(20 * MiB, seed=6))
    store.limits(per_connection_bps=0)
    out, _ = p.communicate("\n", timeout=60)
    assert out == "ESTALE\nESTALE\n0\n"


@pytest.mark.parametrize("mode", ["resident", "lazy"])
def test_a_mapping_whose_bytes_cannot_be_had_is_an_error_and_no_zeros(mode, store, start_daemon):
    """Larger than the cache, and the object changes: the copy fails, or the page that cannot be filled."""
    program = """
import errno, mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
os.pread(fd, 1000, 0)
print("there", flush=True)
sys.stdin.readline()
for flags, prot in ((mmap.MAP_SHARED, mmap.PROT_READ), (mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)):
    try:
        m = mmap.mmap(fd, 0, flags, prot)
        print("MAPPED", len(m), m[-1000:] == bytes(1000), flush=True)
    except OSError as e:
        print(errno.errorcode[e.errno])
"""
    store.put(NAME, body(24 * MiB))
    store.limits(per_connection_bps=200_000)
    d = start_daemon({"prefetch": {"vcpus": 1, "workers": 1}, "cache": {"size": "16MiB", "chunkSize": "1MiB"},
                      "mmap": mode}, prefix="w/")
    p = subprocess.Popen([sys.executable, "-c", program, d.path("w.bin")], env=d.preload(), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "there\n"
    store.put(NAME, body(24 * MiB, seed=6))
    store.limits(per_connection_bps=0)
    out, said = p.communicate("\n", timeout=60)
    if p.returncode == -signal.SIGBUS:  # where the kernel has no page faults for us, it is as resident
        assert mode == "lazy" and out == "" and "oss-connector: " in said
    else:
        assert out == "ESTALE\nESTALE\n"


@pytest.mark.parametrize("mode", ["resident", "lazy"])
def test_mmap_of_a_file_that_is_known_to_be_replaced_says_so(mode, store, start_daemon):
    program = """
import errno, mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
print(len(os.pread(fd, 1000, 0)), flush=True)
sys.stdin.readline()
for what in (lambda: os.pread(fd, 1000, 20 << 20), lambda: mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ)):
    try:
        print(what(), flush=True)
    except OSError as e:
        print(errno.errorcode[e.errno])
"""
    store.put(NAME, body(24 * MiB))
    store.limits(per_connection_bps=200_000)
    d = start_daemon({"prefetch": {"vcpus": 1, "workers": 1}, "cache": {"chunkSize": "1MiB"}, "mmap": mode}, prefix="w/")
    p = subprocess.Popen([sys.executable, "-c", program, d.path("w.bin")], env=d.preload(), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "1000\n"
    store.put(NAME, body(24 * MiB, seed=6))
    store.limits(per_connection_bps=0)
    out, _ = p.communicate("\n", timeout=60)
    assert out == "ESTALE\nESTALE\n"


# ---- 3: secrets stay in the daemon -------------------------------------------------------


def without_secrets(*texts):
    for text in texts:
        text = text.decode(errors="replace") if isinstance(text, bytes) else text
        for secret in (*TOKEN, KEY[1], "Signature=", "Authorization"):
            assert secret not in text


@pytest.fixture
def served(store):
    store.keys(*TOKEN[:2], token=TOKEN[2])
    store.put(NAME, body(100_000))
    return store


def test_no_key_no_token_and_no_signature_is_written_anywhere(served, start_daemon):
    d = start_daemon({"logLevel": 0}, prefix="w/", key=TOKEN)
    path = f"oss://{TOKEN[0]}:{TOKEN[1]}@models/w/"
    runs = [
        d.run("cat", d.path("w.bin"), role=2, env={"OSSC_WAIT_SEC": "1"}),
        d.run("cat", d.path("w.bin")),
        d.run("cat", d.path("none")),
        d.run("cat", d.path("w.bin"), env={"OSS_PATH": path}),
        d.run("cat", d.path("w.bin"), env={"OSS_ACCESS_KEY_SECRET": KEY[1]}),
        d.ossc("ls", env={"OSS_PATH": "oss://models/", "OSS_SESSION_TOKEN": "x" + TOKEN[2]}),
        d.ossc("ls", "-l", env={"OSS_PATH": path}),
        d.ossc("stat", "w.bin", env={"OSS_ACCESS_KEY_SECRET": KEY[1]}),
        d.ossc("doctor", env={"OSS_PATH": path}),
        d.ossc("doctor"),
    ]
    assert [r.returncode for r in runs] == [1, 0, 1, 1, 1, 1, 1, 1, 1, 0], [r.stderr for r in runs]
    assert runs[1].stdout == body(100_000)
    without_secrets(json.dumps(d.status()), d.log(), d.audit_path.read_text(), d.errors(),
                    *(r.stderr for r in runs), *(r.stdout for r in runs if r is not runs[1]))
    assert "mounted oss://models/w/" in d.log() and '"op":"mount"' in d.audit_path.read_text().replace(" ", "")


def test_the_daemon_leaves_no_core_file(start_daemon):
    d = start_daemon()
    limits = open(f"/proc/{d.pid}/limits").read()
    assert ["0", "0"] == next(line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core file size"))


def test_a_daemon_that_a_client_starts_gets_no_key_by_its_arguments_or_environment(served, tmp_path):
    """The program that is started first writes down what it was given."""
    given = tmp_path / "given"
    program = tmp_path / "osscd"
    program.write_text(f"#!/bin/sh\n(tr '\\0' '\\n' </proc/$$/environ; echo \"$@\"; ls -l /proc/$$/fd) >{given}\n"
                       f"exec {BUILD / 'osscd'} \"$@\"\n")
    program.chmod(0o755)
    with Daemon.unstarted(served, prefix="w/", key=TOKEN) as d:
        # Without much else in the environment: there is a bound on what is handed on.
        env = {k: v for k, v in d.preload(OSSC_DAEMON=str(program)).items()
               if k.startswith(("OSS", "LD_", "MODEL", "ENABLE")) or k in ("PATH", "HOME")}
        with socket.socket() as open_in_the_program:
            out = subprocess.run(["cat", d.path("w.bin")], env=env, capture_output=True, timeout=60,
                                 pass_fds=[open_in_the_program.fileno()])
        assert out.stdout == body(100_000), out.stderr
        text = given.read_text()
    assert "OSSC_SOCKET=" in text and "PATH=" in text
    without_secrets(text)
    assert "LD_PRELOAD" not in text and "OSS_" not in text and "ENABLE_CONNECTOR" not in text
    assert "socket:" not in text  # the client's link, and whatever else it had open


# ---- 6: hits are free --------------------------------------------------------------------


def calls(d, argv, count):
    """System calls of a program that reads so often, with everything in the cache."""
    trace = d.dir / f"trace-{count}"
    out = d.run("strace", "-f", "-c", "-o", trace, *argv, count, 4096)
    assert out.returncode == 0, out.stderr
    total = next(line.split() for line in reversed(trace.read_text().splitlines()) if line.endswith("total"))
    return int(total[3])


READS = """
import os, sys
fd, count, size = os.open(sys.argv[1], os.O_RDONLY), int(sys.argv[2]), int(sys.argv[3])
v = [bytearray(100), bytearray(100)]
read, readv, preadv, lseek = os.read, os.readv, os.preadv, os.lseek
for i in range(count):
    if lseek(fd, 0, 1) > 15 << 20:
        lseek(fd, 0, 0)
    read(fd, size)
    readv(fd, v)
    preadv(fd, v, i % 4096 * size)
"""


@pytest.mark.parametrize("how", ["pread", "every other way"])
def test_reads_of_what_is_there_cost_no_system_call(how, store, start_daemon):
    store.put(NAME, body(16 * MiB))
    d = start_daemon({"cache": {"size": "64MiB", "chunkSize": "1MiB"}}, prefix="w/")
    argv = [PROGRAMS / "preadloop"] if how == "pread" else [sys.executable, "-c", READS]
    argv.append(d.path("w.bin"))
    assert d.run("cat", d.path("w.bin")).stdout == body(16 * MiB)
    few, many = calls(d, argv, 1000), calls(d, argv, 20000)
    # Waits of the start may differ a little; one call in a hundred reads would be 190.
    assert many < few + 100
