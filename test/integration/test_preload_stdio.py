"""stdio over store files: one program prints all that it sees of a file, on a plain one and under preload."""
import difflib
import errno
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys

import pytest

from conftest import KEY
from daemon import BUILD, Daemon
from store import Store

KiB, MiB = 1 << 10, 1 << 20
PROGRAMS = BUILD / "test" / "programs"
SOURCES = pathlib.Path(__file__).resolve().parents[1] / "programs"
WORDS = "naïve héllo wörld übung straße żółw 日本語 данные model layer 12 tensor 7".split()


def lines(size, seed):
    draw = random.Random(seed)
    out, length = [], 0
    while length < size:
        line = " ".join(draw.choices(WORDS, k=draw.randint(1, 12))) + f" {draw.randint(0, 99999)}\n"
        out.append(line.encode())
        length += len(out[-1])
    return b"".join(out)


class World:
    """The same files on disk and in a store with a daemon; `local` is beside both."""

    def __init__(self, root, store, daemon):
        self.plain, self.daemon, self.store = root / "plain", daemon, store
        self.local = root / "local.txt"
        self.plain.mkdir()
        self.local.write_text("local one\nlocal two\nlocal three\n")
        self.put("text", lines(200 * KiB, 1))
        self.put("mounts", b"".join(b"dev%d /mnt/%d ext4 ro 0 %d\n" % (i, i, i) for i in range(30)))
        self.put("large", lines(3 * MiB, 2))
        self.put("empty", b"")

    def put(self, name, data):
        (self.plain / name).write_bytes(data)
        self.store.put(f"models/s/{name}", data)

    def both(self, program, *parts, stdin=None, text="text"):
        """How the output under preload differs from that on the plain directory (""), and its errors."""
        results = []
        for where, env in ((str(self.plain), bare_env()), (str(self.daemon.model_dir), self.daemon.preload())):
            argv = [str(program), f"{where}/{text}", f"{where}/mounts", str(self.local), *parts]
            if stdin is not None:
                argv = ["bash", "-c", 'exec "$@" <"$0"', f"{where}/{stdin}", *argv]
            out = subprocess.run(argv, env=env, capture_output=True, timeout=100, stdin=subprocess.DEVNULL)
            results.append(f"{out.stdout.decode(errors='replace')}ends with {out.returncode}\n")
        assert results[0].endswith("ends with 0\n") and results[0].count("\n") > len(parts) + 1
        diff = difflib.unified_diff(*(r.splitlines(True) for r in results), "plain", "preloaded")
        return "".join(diff), out.stderr.decode()


def bare_env():
    return {k: v for k, v in os.environ.items() if not k.startswith(("OSS", "LD_PRELOAD", "ENABLE_CONNECTOR"))}


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory):
    with Store(keys=[KEY], buckets=["models"]) as store:
        yield store


@pytest.fixture(scope="module")
def world(tmp_path_factory, shared_store):
    with Daemon(shared_store, {"cache": {"size": "256MiB"}}, prefix="s/", key=KEY) as daemon:
        yield World(tmp_path_factory.mktemp("stdio"), shared_store, daemon)


@pytest.fixture(scope="module")
def musl_ops(tmp_path_factory):
    program = tmp_path_factory.mktemp("musl") / "stdio_ops"
    subprocess.run(["musl-gcc", "-O1", "-D_GNU_SOURCE", "-o", program, SOURCES / "stdio_ops.c"], check=True)
    return program


PARTS = ["modes", "from_descriptors", "seeks", "reads", "buffers", "offsets", "writes", "wide", "mixed",
         "charsets", "reopens", "threads", "others", "many", "standard_input", "input_by_dup2", "input_by_open"]


@pytest.mark.parametrize("part", PARTS)
def test_a_program_sees_the_same_of_a_store_file(part, world):
    assert world.both(PROGRAMS / "stdio_ops", part) == ("", "")


@pytest.mark.parametrize("part", PARTS)
def test_a_musl_program_sees_the_same_of_a_store_file(part, world, musl_ops):
    assert world.both(musl_ops, part) == ("", "")


@pytest.mark.parametrize("part", ["inherited_input", "inherited_wide_input", "inherited_old_input"])
def test_a_program_reads_a_store_file_on_its_standard_input(part, world):
    assert world.both(PROGRAMS / "stdio_ops", part, stdin="text") == ("", "")


@pytest.mark.parametrize("part", ["inherited_input", "inherited_wide_input"])
def test_a_musl_program_reads_a_store_file_on_its_standard_input(part, world, musl_ops):
    assert world.both(musl_ops, part, stdin="text") == ("", "")
