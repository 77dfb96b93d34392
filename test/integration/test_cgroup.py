"""In a container with a memory limit and default settings: what fits loads, and nothing is killed."""
import os
import pathlib
import subprocess
import sys

import pytest

import model
from conftest import KEY, has_userfaultfd
from daemon import Daemon

MiB = 1 << 20
LIMIT = 640 * MiB


class Cgroup:
    """A memory cgroup below our own, version 1 or 2."""

    def __init__(self, limit):
        self.limit = limit
        lines = dict(line.strip().split(":", 2)[1:] for line in open("/proc/self/cgroup"))
        if "memory" in lines:
            mount, own = pathlib.Path("/sys/fs/cgroup/memory"), lines["memory"]
            self.files = ("memory.limit_in_bytes", "memory.failcnt")
        else:
            mount, own = pathlib.Path("/sys/fs/cgroup"), lines.get("", "/")
            self.files = ("memory.max", None)
        self.path = mount / own.lstrip("/") / f"ossc-test-{os.getpid()}"

    def __enter__(self):
        try:
            self.path.mkdir()
            (self.path / self.files[0]).write_text(str(self.limit))
        except OSError as e:
            if self.path.exists():
                self.path.rmdir()
            pytest.skip(f"no memory cgroup can be made here: {e}")
        return self

    def join(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def kills(self):
        for name in ("memory.oom_control", "memory.events"):
            p = self.path / name
            if p.exists():
                words = dict(line.split() for line in p.read_text().splitlines())
                return int(words.get("oom_kill", 0))
        return 0

    def __exit__(self, *exc):
        self.path.rmdir()


MAP = """
import hashlib, mmap, sys
with open(sys.argv[1], 'rb') as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
    h = hashlib.sha256()
    for at in range(0, len(m), 1 << 20):
        h.update(m[at:at + (1 << 20)])
    print(h.hexdigest())
"""


LARGER = pytest.param(1.5, "auto", True, marks=pytest.mark.skipif(not has_userfaultfd(), reason="no userfaultfd for us"))


@pytest.mark.parametrize("share,mode,fits", [(0.7, "auto", True), (1.5, "resident", False), LARGER])
def test_mmap_under_a_memory_limit(share, mode, fits, store):
    """Filled on page faults, a mapping may be larger than all memory."""
    size = int(LIMIT * share)
    path = store.root / "models/c/big.bin"
    model.write_file(path, b"", "big", size)
    store.rescan()
    expected = model.sum_file(path)
    with Cgroup(LIMIT) as group:
        with Daemon.unstarted(store, {"mmap": mode}, prefix="c/", key=KEY) as d:
            out = subprocess.run([sys.executable, "-c", MAP, d.path("big.bin")], env=d.preload(), capture_output=True,
                                 timeout=200, preexec_fn=group.join)
            if fits:
                assert out.returncode == 0, out.stderr
                assert out.stdout.decode().strip() == expected
            else:
                # More than there is: refused in words, at mmap, not by the kernel's killer.
                assert out.returncode == 1 and b"Cannot allocate memory" in out.stderr, out.stderr
                out = subprocess.run(["sha256sum", d.path("big.bin")], env=d.preload(), capture_output=True, timeout=200,
                                     preexec_fn=group.join)
                assert out.stdout.decode().split()[0] == expected, out.stderr
            assert group.kills() == 0
            d.stop_spawned()
