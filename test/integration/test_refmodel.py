"""The reference model: random sequences of file calls, twice, on a plain directory and below MODEL_DIR.

test/refmodel draws them from a seed, in several threads, and compares every result, errno, offset and byte.  A
seed that fails prints a shortened sequence; `refmodel --replay FILE` runs it again.
"""
import os
import pathlib
import random
import re
import subprocess

import pytest

from conftest import KEY
from daemon import BUILD, Daemon
from store import Store

MiB = 1 << 20
REFMODEL = BUILD / "test" / "refmodel" / "refmodel"
FLAW = BUILD / "test" / "refmodel" / "flaw.so"

SIZES = {
    "f0": 0, "f1": 1, "f2.bin": 4095, "f3.bin": 4096, "f4.txt": 4097, "d1/f5": 10_000, "d1/f6.bin": 65_536,
    "d1/e/f7": 100, "d1/e/f8": 30_000, "d2/f9": 50_000, "d2/a b'c": 700, "d2/größe-模型.txt": 5000,
    "d2/big0": MiB - 1, "d2/big1": MiB, "d2/big2": MiB + 1, "big3": 3 * MiB + 123, "d1/big4": 5 * MiB,
    "big5": 8 * MiB + 4096, "d2/big6": 300_000,
    **{f"many/f{i:03}": i * 37 for i in range(60)},
}
FLAKY = {f"bad/f{i}": 3000 * i + 1 for i in range(4)}  # what the store is bad at


def body(name, size):
    rng = random.Random(name)
    if name.endswith(".txt") or size < 5000:
        return bytes(rng.choices(b"abc de\nfg hij\n", k=size))
    return rng.randbytes(size)


def write_tree(root, sizes):
    """Reproducible files; their times are whole seconds, as a listing's are, and all different."""
    for i, (name, size) in enumerate(sorted(sizes.items())):
        path = pathlib.Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body(name, size))
        path.chmod(0o444)
        os.utime(path, (1_700_000_000 + i, 1_700_000_000 + i))


def run(argv, env=None, timeout=300):
    out = subprocess.run([str(a) for a in argv], env=env, capture_output=True, timeout=timeout)
    return out.returncode, out.stdout.decode(errors="replace"), out.stderr.decode(errors="replace")


def bare_env(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OSS", "LD_PRELOAD", "ENABLE_CONNECTOR"))}
    return {**env, **more}


def operations(text):
    return sum(int(n) for n in re.findall(r": (\d+) operations in ", text))


class World:
    """A store and a daemon with the tree, and the same tree on disk."""

    def __init__(self, where, conf, sizes):
        self.store = Store(keys=[KEY], buckets=["models"])
        self.plain, self.work = where / "plain", where / "work"
        self.work.mkdir()
        write_tree(self.plain, sizes)
        write_tree(self.store.root / "models" / "m", sizes)
        self.store.rescan()
        self.store.settle()
        self.daemon = Daemon(self.store, conf, prefix="m/", key=KEY)

    def __enter__(self):
        self.daemon.start()
        return self

    def __exit__(self, *exc):
        try:
            self.daemon.__exit__(*exc)
        finally:
            self.store.close()

    def model(self, *more, env=None, timeout=300):
        self.daemon.model_dir.mkdir(exist_ok=True)
        return run([REFMODEL, "--plain", self.plain, "--model", self.daemon.model_dir, "--work", self.work, *more],
                   env=self.daemon.preload(**(env or {})), timeout=timeout)


def no_difference(code, out, err):
    assert code == 0, out + err[-4000:]
    return operations(out)


CALM = {"cache": {"size": "256MiB", "chunkSize": "1MiB"}, "logLevel": 1}
SMALL = {"cache": {"size": "5MiB", "chunkSize": "1MiB"}, "logLevel": 1, "network": {"idleTimeoutSec": 2, "retrySec": 20}}


THREADS, OPS = 4, 12_000  # of each thread


def play(world, *seeds, more=()):
    """Operations that were done with these seeds; the first difference fails."""
    return sum(no_difference(*world.model("--seed", seed, "--threads", THREADS, "--ops", OPS, *more)) for seed in seeds)


def test_sequences_do_the_same_with_all_in_the_cache(tmp_path):
    with World(tmp_path, CALM, SIZES) as w:
        assert play(w, 1, 2) > 75_000


def test_sequences_do_the_same_with_mappings_that_are_made_at_once(tmp_path):
    with World(tmp_path, {**CALM, "mmap": "resident"}, SIZES) as w:
        assert play(w, 3) > 37_000


def misbehave(store):
    """Late, broken off, refused: each now and then, whatever is asked for."""
    get = dict(match="GET models/m/*")
    store.fault(**get, action="delay_ms", ms=3, probability=0.05, seed=1)
    store.fault(**get, action="reset_at", at=100_000, probability=0.02, seed=2)
    store.fault(**get, action="truncate_at", at=1000, probability=0.02, seed=3)
    store.fault(**get, action="status", status=500, code="InternalError", probability=0.02, seed=4)
    store.fault(**get, action="close_before_head", probability=0.02, seed=5)
    store.fault(match="GET models/m/bad/*", action="status", status=403, code="AccessDenied", probability=0.5, seed=7)


# What a program may be told of a store that refuses half of what is asked for below bad/.  And what
# is mapped must be complete before a fork, which does not always fit so small a cache.
ALLOWED = "EACCES,EIO,ETIMEDOUT,ENOMEM,EAGAIN"


def test_sequences_do_the_same_with_a_bad_store_and_a_cache_that_evicts(tmp_path):
    with World(tmp_path, SMALL, {**SIZES, **FLAKY}) as w:
        misbehave(w.store)
        assert play(w, 11, 12, 13, more=("--allow", ALLOWED)) > 115_000
        assert w.store.counters()["faults"] > 100
        assert w.daemon.status()["cache"]["evictions"] > 1000


# ---- is the model itself any good? ----------------------------------------------------------------

def bare(tmp_path, *more, **env):
    """The model on two plain directories."""
    plain, other, work = (tmp_path / name for name in ("plain", "other", "work"))
    if not work.exists():
        work.mkdir()
        sizes = {name: size for name, size in SIZES.items() if size < MiB}
        write_tree(plain, sizes)
        write_tree(other, sizes)
    if env:
        env.update(LD_PRELOAD=str(FLAW), FLAW_DIR=str(other))
    return run([REFMODEL, "--bare", "--plain", plain, "--model", other, "--work", work, *more], env=bare_env(**env))


def test_two_plain_directories_do_not_differ(tmp_path):
    assert no_difference(*bare(tmp_path, "--seed", 5, "--threads", THREADS, "--ops", 6000)) > 18_000


@pytest.mark.parametrize("flaw, culprit", [
    ("byte", "pread"), ("short", "pread"), ("offset", "read"), ("dup", "dup"),
    ("readdir", "readdir|opendir|scandir|getdents"), ("hole", "mmap"),
])
def test_a_library_with_a_flaw_is_found_out_and_the_sequence_shortened(flaw, culprit, tmp_path):
    code, out, err = bare(tmp_path, "--seed", 6, "--threads", 2, "--ops", 6000, "--shrink", 20, FLAW=flaw)
    assert code == 1, out + err
    assert "seed 6: actor" in out
    lines = re.findall(r"^\d+ \w+(?: \d+)*$", out, re.M)
    assert 0 < len(lines) <= 8, out
    assert any(re.fullmatch(culprit, line.split()[1]) for line in lines), out
    (tmp_path / "short").write_text("\n".join(lines) + "\n")
    for extra, want in (dict(FLAW=flaw), 1), ({}, 0):
        code, out, err = bare(tmp_path, "--replay", tmp_path / "short", "--threads", 2, "--shrink", 0, **extra)
        assert code == want, out + err
