"""stdio over store files: one program prints all that it sees of a file, on a plain one and under preload."""
import copy
import difflib
import errno
import os
import pathlib
import random
import re
import subprocess
import sys
import textwrap

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
        self.put("large", lines(7 * MiB, 2))
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


def test_what_comes_after_a_stream_is_its_own(world, tmp_path):
    musl = tmp_path / "ends"
    subprocess.run(["musl-gcc", "-O1", "-D_GNU_SOURCE", "-o", musl, SOURCES / "stdio_ends.c"], check=True)
    for program in PROGRAMS / "stdio_ends", musl:
        assert world.both(program, stdin="text") == ("", "")


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    program = tmp_path_factory.mktemp("c++") / "streams"
    subprocess.run(["g++", "-std=c++17", "-O1", "-o", program, SOURCES / "stdio_streams.cc"], check=True)
    return program


def outputs(world, script, tmp_path, **env):
    """What a shell script prints with $D on the plain directory and on MODEL_DIR."""
    found = []
    for where, base in ((world.plain, bare_env()), (world.daemon.model_dir, world.daemon.preload())):
        out = subprocess.run(["bash", "-c", script], env={**base, "D": str(where), **env}, cwd=tmp_path,
                             capture_output=True, timeout=100, stdin=subprocess.DEVNULL)
        found.append((out.returncode, out.stdout, out.stderr))
    return found


CXX = ['"$P" files "$D/text" copy; sha256sum < copy; rm copy', '"$P" files "$D/large" copy; sha256sum < copy; rm copy',
       '"$P" synced < "$D/text"', '"$P" unsynced < "$D/large"', '"$P" wide < "$D/text"',
       'exec 0<"$D/text"; read a; "$P" synced; echo "$a"']


@pytest.mark.parametrize("script", CXX)
def test_a_cxx_program_sees_the_same_of_a_store_file(script, world, streams, tmp_path):
    plain, preloaded = outputs(world, script, tmp_path, P=str(streams))
    assert plain[0] == 0 and plain[1]
    assert preloaded == plain


INPUTS = [
    f"{sys.executable} -c 'import sys; print(sys.stdin.readline(), len(sys.stdin.read()))' < \"$D/text\"",
    "perl -CS -ne '$n += length; print if $. == 3; END { print $n }' < \"$D/large\"",
    "awk '{ n += NF } NR == 2 { print } END { print n }' < \"$D/large\"",
    'md5sum < "$D/large"; md5sum /dev/stdin < "$D/text"; md5sum /dev/fd/5 5< "$D/text"; uniq "$D/text" | md5sum; uniq "$D/mounts" -',
    'exec 3< "$D/text"; head -n1 <&3; head -n1 <&3; read b <&3; echo "$b"; sed -n 1p <&3; cat <&3 | wc -c',
    'sort < "$D/text" | md5sum; od -c < "$D/mounts" | head -3; paste - - < "$D/mounts" | tail -2; nl "$D/mounts" | tail -1',
    'tac "$D/text" | md5sum; fold -w 20 < "$D/text" | md5sum; expand "$D/text" | md5sum; join "$D/mounts" "$D/mounts" | wc -l',
]


@pytest.mark.parametrize("script", INPUTS)
def test_programs_read_store_files_by_name_and_on_their_input(script, world, tmp_path):
    plain, preloaded = outputs(world, script, tmp_path)
    assert plain[0] == 0 and plain[1]
    assert preloaded == plain


@pytest.mark.parametrize("mode, error", [("w", "EROFS"), ("a", "EROFS"), ("r+", "EROFS"), ("w+", "EROFS"), ("rb+", "EROFS"),
                                         ("wx", "EEXIST"), ("w+x", "EEXIST")])
def test_a_store_file_is_not_opened_for_writing(mode, error, world):
    code = """
        import ctypes, errno, sys
        libc = ctypes.CDLL(None, use_errno=True)
        libc.fopen.restype = libc.freopen.restype = ctypes.c_void_p
        path, mode = sys.argv[1].encode(), sys.argv[2].encode()
        print(libc.fopen(path, mode), errno.errorcode[ctypes.get_errno()])
        for first in path, b"/dev/null":
            f = ctypes.c_void_p(libc.fopen(first, b"r"))
            ctypes.set_errno(0)
            print(libc.freopen(path, mode, f), errno.errorcode[ctypes.get_errno()])
        f = ctypes.c_void_p(libc.fopen(path, b"r"))
        print(libc.freopen(None, mode, f), errno.errorcode[ctypes.get_errno()])
        """
    out = world.daemon.run(sys.executable, "-c", textwrap.dedent(code), world.daemon.path("text"), mode)
    assert out.stdout.decode().split("\n")[:-1] == [f"None {error}"] * 4, out.stderr.decode()


def test_bytes_that_cannot_be_had_are_an_error_and_no_end_of_file(world):
    world.put("broken", lines(100 * KiB, 3))
    world.store.fault("GET models/s/broken", "status", status=500)
    with Daemon(world.store, {"network": {"retrySec": 1}}, prefix="s/", key=KEY) as daemon:
        out = daemon.run(PROGRAMS / "stdio_errors", daemon.path("broken"), world.local)
    world.store.clear()
    found = out.stdout.decode().splitlines()
    eio = errno.EIO
    assert found == [f"getc -1 errno {eio} eof 0 error 1", f"fread 0 errno {eio} eof 0 error 1",
                     f"getline -1 errno {eio} eof 0 error 1", f"fscanf -1 errno {eio} eof 0 error 1",
                     f"fgetwc -1 errno {eio} eof 0 error 1", f"fgetws 0 errno {eio} eof 0 error 1",
                     f"fwscanf -1 errno {eio} eof 0 error 1", f"ccs 0 errno {eio}", f"freopen 0 errno {eio}"], out.stderr


@pytest.mark.parametrize("part", ["reads", "seeks", "wide", "reopens", "offsets", "standard_input", "threads"])
def test_with_a_cache_smaller_than_the_file(part, world):
    """Cold and again."""
    with Daemon(world.store, {"cache": {"size": "4MiB", "chunkSize": "1MiB"}}, prefix="s/", key=KEY) as daemon:
        small = copy.copy(world)
        small.daemon = daemon
        for _ in range(2):
            assert small.both(PROGRAMS / "stdio_ops", part, text="large") == ("", "")


def test_an_empty_file(world):
    for part in "modes", "reads", "wide", "offsets", "standard_input", "input_by_dup2":
        assert world.both(PROGRAMS / "stdio_ops", part, text="empty") == ("", "")


def system_calls(world, code):
    log = world.daemon.dir / "strace"
    argv = [sys.executable, "-c", textwrap.dedent(code), world.daemon.path("mounts")]
    world.daemon.run("strace", "-f", "-c", "-o", log, *argv).check_returncode()
    return sum(int(re.split(r"\s+", line.strip())[3]) for line in open(log)
               if re.match(r"\s*[\d.]+\s+\d", line) and not line.rstrip().endswith("total"))


def test_fopen_costs_no_more_system_calls_than_open(world):
    code = """
        import ctypes, sys
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        libc.fgets.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
        libc.fclose.argtypes = [ctypes.c_void_p]
        path, buf = sys.argv[1].encode(), ctypes.create_string_buffer(100)
        for i in range(ROUNDS):
            BODY
        """
    by_open = "fd = libc.open(path, 0); libc.read(fd, buf, 100); libc.close(fd)"
    by_fopen = 'f = libc.fopen(path, b"r"); libc.fgets(buf, 100, f); libc.fclose(f)'
    cost = {}
    for body in by_open, by_fopen:
        few, many = (system_calls(world, code.replace("ROUNDS", str(n)).replace("BODY", body)) for n in (10, 510))
        cost[body] = (many - few) / 500
    assert cost[by_fopen] <= 1.5 * cost[by_open], cost
