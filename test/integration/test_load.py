"""A bucket read as files: right bytes, one download, bounded memory."""
import hashlib
import os
import random
import subprocess
import sys

import pytest

import model
from daemon import BUILD, resident_kib

MiB = 1 << 20
CHUNK = 8 * MiB


def body(seed, size):
    return random.Random(seed).randbytes(size)


def bytes_of(store, key):
    return store.counters(key)["bytes"]


@pytest.fixture
def tree(store):
    """A small model in the store; -> {name: bytes}."""
    files = {
        "config.json": b'{"hidden_size": 8}\n',
        "model-00001-of-00002.safetensors": body(1, 20 * MiB + 4321),
        "model-00002-of-00002.safetensors": body(2, 9 * MiB),
        "assets/part one.bin": body(3, 70001),
        "assets/deep/er/größe-模型.txt": "names are UTF-8\n".encode(),
        "assets/empty": b"",
    }
    for name, data in files.items():
        store.put(f"models/llama/{name}", data)
    return files


def same_tree(found, files):
    assert found == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def test_a_copy_has_every_byte(start_daemon, tree, tmp_path):
    d = start_daemon(prefix="llama/")
    out = d.run("cp", "-r", d.path(), tmp_path / "copy")
    assert out.returncode == 0, out.stderr
    same_tree(model.sums(tmp_path / "copy"), tree)


def test_ls_shows_names_and_sizes(start_daemon, tree):
    d = start_daemon(prefix="llama/")
    out = d.run("ls", "-lR", d.path())
    assert out.returncode == 0, out.stderr
    lines = out.stdout.decode().splitlines()
    for name, data in tree.items():
        assert any(line.endswith(" " + os.path.basename(name)) and f" {len(data)} " in line for line in lines), name


@pytest.mark.parametrize("block", [1, 4096, 1 << 20, 3 << 20])
def test_dd_with_any_block_size(block, start_daemon, tree):
    d = start_daemon(prefix="llama/")
    name = "assets/part one.bin" if block == 1 else "model-00001-of-00002.safetensors"
    out = d.run("dd", f"if={d.path(name)}", f"bs={block}", "status=none")
    assert out.returncode == 0, out.stderr
    assert out.stdout == tree[name]


def test_python_reads_seeks_and_maps(start_daemon, tree):
    d = start_daemon(prefix="llama/")
    program = """
import hashlib, mmap, os, sys
path = sys.argv[1]
with open(path, 'rb') as f:
    whole = f.read()
    f.seek(-5000, 2)
    assert f.read() == whole[-5000:]
    f.seek(123456)
    assert f.read(777) == whole[123456:123456 + 777]
    with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
        assert m[:] == whole
    with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY) as m:
        m[10:14] = b'mine'
        assert m[10:14] == b'mine' and m[14:] == whole[14:]
    assert os.pread(f.fileno(), 100, 8388600) == whole[8388600:8388700]
    assert os.fstat(f.fileno()).st_size == len(whole)
print(hashlib.sha256(whole).hexdigest())
"""
    name = "model-00001-of-00002.safetensors"
    out = d.run(sys.executable, "-c", program, d.path(name))
    assert out.returncode == 0, out.stderr
    assert out.stdout.decode().strip() == hashlib.sha256(tree[name]).hexdigest()


def test_a_primary_starts_a_daemon_that_others_share(store, tree):
    from conftest import KEY
    from daemon import Daemon
    with Daemon.unstarted(store, prefix="llama/", key=KEY) as d:
        first = d.run("cat", d.path("config.json"))
        assert first.stdout == tree["config.json"], first.stderr
        pid = d.spawned_pid()
        assert d.run("cat", d.path("config.json")).stdout == tree["config.json"]
        assert d.spawned_pid() == pid
        environment = open(f"/proc/{pid}/environ", "rb").read() if os.access(f"/proc/{pid}/environ", os.R_OK) else b""
        assert KEY[1].encode() not in environment and b"LD_PRELOAD" not in environment
        assert KEY[1].encode() not in open(f"/proc/{pid}/cmdline", "rb").read()


def test_a_secondary_sees_the_primarys_mount(start_daemon, tree):
    d = start_daemon(prefix="llama/")
    early = d.run("cat", d.path("config.json"), role=2, env={"OSSC_WAIT_SEC": "1"})
    assert early.returncode != 0 and early.stdout == b""
    assert d.run("true", d.path("config.json"), role=1).returncode == 0
    assert d.run("cat", d.path("config.json"), role=1).stdout == tree["config.json"]
    late = d.run("cat", d.path("config.json"), role=2)
    assert late.stdout == tree["config.json"], late.stderr


def test_eight_processes_cause_one_download(start_daemon, store):
    size = 96 * MiB
    store.put("models/one/big.bin", body(7, size))
    d = start_daemon(prefix="one/")
    readers = [subprocess.Popen(["sha256sum", d.path("big.bin")], env=d.preload(), stdout=subprocess.PIPE)
               for _ in range(8)]
    sums = {r.communicate(timeout=120)[0].split()[0] for r in readers}
    assert all(r.returncode == 0 for r in readers)
    assert sums == {hashlib.sha256(body(7, size)).hexdigest().encode()}
    assert size <= bytes_of(store, "models/one/big.bin") <= size + CHUNK


def test_a_cache_of_a_quarter_streams_the_model_once(start_daemon, store):
    names = [f"m/shard-{i}.bin" for i in range(4)]
    for i, name in enumerate(names):
        store.put(f"models/{name}", body(i, 64 * MiB))
    d = start_daemon({"cache": {"size": "64MiB", "chunkSize": "4MiB"}, "verify": "on"}, prefix="m/")
    out = d.run("cat", *(d.path(n[2:]) for n in names))
    assert out.returncode == 0, out.stderr
    assert out.stdout == b"".join(body(i, 64 * MiB) for i in range(4))
    for name in names:
        assert bytes_of(store, f"models/{name}") == 64 * MiB, name
    assert d.status()["cache"]["used"] <= 64 * MiB
    assert resident_kib(d.pid) <= (64 + 64) * 1024


def test_a_daemon_with_few_descriptors_gives_up_closed_files(store):
    """It starts with the limit of the program that needs it: no room for 200 files at two descriptors each."""
    from conftest import KEY
    from daemon import Daemon
    whole = hashlib.sha256()
    for i in range(200):
        whole.update(store.put(f"models/many/f{i:03}", body(i, 5000 + i)))
    with Daemon.unstarted(store, {"mount": {"refreshSec": 3600}}, prefix="many/", key=KEY) as d:
        read = 'ulimit -n 256 && cat "$MODEL_DIR"/* | sha256sum'
        for turn in ("cold", "again"):
            out = d.run("bash", "-c", read)
            assert out.stderr == b"", turn
            assert out.stdout.split()[0].decode() == whole.hexdigest(), turn


def test_of_a_hundred_models_only_the_one_that_is_read_is_downloaded(start_daemon, store):
    for i in range(100):
        store.put(f"models/m{i:03d}/weights.bin", body(i, 300_000))
        store.put(f"models/m{i:03d}/config.json", b"{}")
    d = start_daemon()
    out = d.run("cat", d.path("m042/weights.bin"))
    assert out.stdout == body(42, 300_000), out.stderr
    out = d.ossc("prefetch", "--wait", "m042/")
    assert out.returncode == 0, out.stderr
    asked = {key for key, c in store.counters()["by_key"].items() if c.get("bytes", 0) > 0 and "/m" in key}
    assert asked <= {"models/m042/weights.bin", "models/m042/config.json"}


@pytest.mark.parametrize("how", ["preload", "capi"])
def test_warm_reads_make_no_system_call(how, start_daemon, store):
    store.put("models/w/w.bin", body(11, 16 * MiB))
    d = start_daemon(prefix="w/")
    if how == "preload":
        argv = [BUILD / "test/programs/preadloop", d.path("w.bin"), "100000", "4096"]
        env = d.preload()
    else:
        argv = [BUILD / "test/programs/capi_preadloop", "w.bin", "100000"]
        env = d.env()
    assert subprocess.run(argv, env=env, capture_output=True, timeout=60).returncode == 0
    trace = d.dir / "trace"
    wrapper = ["strace", "-f", "-c", "-o", trace]
    for name in list(env):
        if name in ("LD_PRELOAD",):  # strace itself must not be preloaded
            wrapper += ["-E", f"{name}={env.pop(name)}"]
    out = subprocess.run([*map(str, wrapper), *map(str, argv)], env=env, capture_output=True, timeout=120)
    assert out.returncode == 0, out.stderr
    total = next(line for line in reversed(trace.read_text().splitlines()) if line.endswith("total"))
    calls = int(total.split()[3])  # share, seconds, us/call, calls, and errors if there were any
    assert 0 < calls < 2000, trace.read_text()
