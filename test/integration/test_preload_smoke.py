"""Unmodified programs on MODEL_DIR under the preload library, beside the same on a plain directory."""
import errno
import hashlib
import os
import pathlib
import random
import re
import subprocess
import sys
import textwrap

import pytest

import model
from daemon import BUILD

MiB = 1 << 20
PROGRAMS = BUILD / "test" / "programs"
LIBRARY = BUILD / "libossc_preload.so"


@pytest.fixture
def plain(tmp_path, store):
    """A model directory on disk, and the same in the store."""
    root = tmp_path / "plain"
    model.make(root, total=24 * MiB, shards=2)
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        store.put(f"models/m/{path.relative_to(root)}", path.read_bytes())
    return root


@pytest.fixture
def mounted(plain, start_daemon):
    return start_daemon({"cache": {"size": "256MiB"}}, prefix="m/")


def bare_env():
    return {k: v for k, v in os.environ.items() if not k.startswith(("OSS", "LD_PRELOAD", "ENABLE_CONNECTOR"))}


def both(daemon, plain, script, tmp_path, role=1):
    """Run a shell script with $D on the plain directory and under preload: outputs and files made."""
    results = []
    for name, env, where in (("bare", bare_env(), plain), ("preloaded", daemon.preload(role), daemon.model_dir)):
        work = tmp_path / name
        work.mkdir()
        out = subprocess.run(["bash", "-c", script], cwd=work, env={**env, "D": str(where), "P": str(PROGRAMS)},
                             capture_output=True, timeout=100)
        text = out.stdout.replace(str(where).encode(), b"DIR")
        results.append((out.returncode, text, model.sums(work), out.stderr.decode()))
    return results


SCRIPTS = [
    'ls "$D"; ls -R "$D" | sort',
    'cat "$D"/*.json | sha256sum',
    'cp -r "$D" copy',
    'cp -a "$D"/assets copy && ls copy',
    'dd if="$D"/model-00001-of-00002.safetensors bs=1M status=none | sha256sum',
    'dd if="$D"/gguf/model-q8_0.gguf bs=4k skip=100 count=10 status=none | sha256sum',
    'head -n 2 "$D"/tokenizer.json; tail -c 100 "$D"/tokenizer.json; wc "$D"/*.json',
    'exec 3<"$D"/tokenizer.json; head -n1 <&3; head -n1 <&3; read b <&3; echo "$b"',
    'cat < "$D"/config.json; sed -n 2,3p < "$D"/config.json; sort < "$D"/config.json',
    'cd "$D" && cat config.json && cd assets && ls && cat ../config.json group1/../../config.json',
    'find "$D" -type f | sort | xargs -P 4 -n 3 -d "\\n" sha256sum | sort',
    'grep -rl tok "$D" | sort; tar cf - -C "$D" assets | tar x; diff -r "$D"/assets assets && echo same',
    'cat "$D"/none; cat "$D"/config.json/x; ls "$D"/none/; test -w "$D"/none || echo no',
    'ln -s "$D" link; cat link/config.json; ln -s "$D"/config.json one; cat one; cat link/assets/../config.json; rm link one',
    '"$P"/readall "$D"/gguf/model-q8_0.gguf && "$P"/readall "$D"/tokenizer.json && "$P"/readall "$D"/assets/empty',
    '"$P"/dirwalk "$D"',
    '"$P"/statall "$D"/config.json',
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_program_does_the_same_as_on_a_plain_directory(script, plain, mounted, tmp_path):
    bare, preloaded = both(mounted, plain, script, tmp_path)
    assert preloaded[:3] == bare[:3], preloaded[3]


def python(daemon, code, role=1, **kw):
    out = daemon.run(sys.executable, "-c", textwrap.dedent(code), role=role,
                     env={"D": str(daemon.model_dir)}, **kw)
    assert out.returncode == 0, out.stderr.decode()
    return out.stdout.decode()


def test_python_reads_and_hashes_every_file(plain, mounted):
    out = python(mounted, """
        import hashlib, os, pathlib
        D = pathlib.Path(os.environ["D"])
        for p in sorted(D.rglob("*")):
            if p.is_file():
                print(hashlib.sha256(p.read_bytes()).hexdigest(), p.relative_to(D))
        """)
    want = "".join(f"{digest} {name}\n" for name, digest in sorted(model.sums(plain).items(),
                                                                   key=lambda x: pathlib.Path(x[0])))
    assert out == want


def test_warm_reads_make_no_system_call(plain, mounted):
    """strace -c: a hundred thousand preads of 4 KiB cost no call more than a hundred of them."""
    path = mounted.path("gguf/model-q8_0.gguf")

    def calls(count, log):
        mounted.run("strace", "-f", "-c", "-o", log, PROGRAMS / "preadloop", path, count, 4096).check_returncode()
        return sum(int(re.split(r"\s+", line.strip())[3]) for line in open(log) if re.match(r"\s*[\d.]+\s+\d", line)
                   and not line.rstrip().endswith("total"))

    log = mounted.dir / "strace"
    few = calls(100, log)
    many = calls(100_000, log)
    assert "pread64" not in open(log).read() or calls(100, log) <= few + 50
    assert many < few + 1000, f"{few} calls for 100 reads, {many} for 100,000"


def test_store_names_cannot_be_changed_and_local_ones_can(mounted):
    out = python(mounted, """
        import errno, os
        D = os.environ["D"]
        def error(call, *args):
            try:
                call(*args)
            except OSError as e:
                return errno.errorcode[e.errno]
        f = D + "/config.json"
        print(error(os.open, f, os.O_WRONLY), error(os.unlink, f), error(os.rename, f, D + "/x"),
              error(os.truncate, f, 0), error(os.chmod, f, 0), error(os.rmdir, D + "/assets"),
              error(os.open, f, os.O_CREAT | os.O_EXCL | os.O_RDWR), error(os.mkdir, f))
        for lock in D + "/lock", D + "/assets/group1/lock":
            open(lock, "w").write("mine")
            print(open(lock).read(), "lock" in os.listdir(os.path.dirname(lock)))
            os.rename(lock, lock + "2")
            os.unlink(lock + "2")
        """)
    assert out == "EROFS EROFS EROFS EROFS EROFS EROFS EEXIST EEXIST\nmine True\nmine True\n"


def test_what_reads_past_the_library_gets_an_error_or_a_copy_and_no_zeros(plain, mounted):
    """A call inside libc, and a program that the library is not in."""
    out = python(mounted, """
        import ctypes, errno, os, subprocess
        fd = os.open(os.environ["D"] + "/config.json", os.O_RDONLY)
        libc = ctypes.CDLL("libc.so.6", use_errno=True)
        buf = ctypes.create_string_buffer(16)
        print(libc.read(fd, buf, 16), errno.errorcode[ctypes.get_errno()])
        bare = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
        out = subprocess.run(["cat"], stdin=fd, env=bare, capture_output=True)
        print(out.returncode, out.stdout)
        print(subprocess.run(["cat"], stdin=fd, capture_output=True).stdout == open(fd, "rb").read())
        """)
    assert out == f"-1 EBADF\n0 {(plain / 'config.json').read_bytes()!r}\nFalse\n"


def test_the_offset_is_shared_over_dup_fork_and_exec(plain, mounted):
    out = python(mounted, """
        import os, subprocess
        fd = os.open(os.environ["D"] + "/tokenizer.json", os.O_RDONLY)
        other = os.dup(fd)
        os.read(fd, 5)
        print(os.lseek(other, 0, os.SEEK_CUR))
        pid = os.fork()
        if pid == 0:
            os.read(fd, 7)
            os._exit(0)
        os.waitpid(pid, 0)
        print(os.lseek(other, 0, os.SEEK_CUR))
        print(subprocess.run(["head", "-c", "20"], stdin=fd, capture_output=True).stdout)
        print(os.lseek(other, 0, os.SEEK_CUR), os.read(fd, 10))
        """)
    text = (plain / "tokenizer.json").read_bytes()
    assert out == f"5\n12\n{text[12:32]!r}\n32 {text[32:42]!r}\n"


def test_mappings_survive_fork_partial_unmapping_and_writes_of_ones_own(plain, mounted):
    out = python(mounted, """
        import hashlib, mmap, os
        f = open(os.environ["D"] + "/gguf/model-q8_0.gguf", "rb")
        shared = mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
        own = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        own[0:4] = b"mine"
        try:
            mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        except OSError as e:
            print(type(e).__name__)
        digest = hashlib.sha256(shared).hexdigest()
        pid = os.fork()
        if pid == 0:
            os._exit(hashlib.sha256(shared).hexdigest() != digest or own[0:4] != b"mine")
        print(os.waitpid(pid, 0)[1], digest, shared[0:4], own[0:4], f.read(4))
        """)
    digest = hashlib.sha256((plain / "gguf" / "model-q8_0.gguf").read_bytes()).hexdigest()
    assert out == f"PermissionError\n0 {digest} b'GGUF' b'mine' b'GGUF'\n"


def test_closing_every_descriptor_does_not_cut_the_link(plain, mounted):
    out = python(mounted, """
        import mmap, os
        f = os.open(os.environ["D"] + "/gguf/model-q8_0.gguf", os.O_RDONLY)
        m = mmap.mmap(f, 0, mmap.MAP_SHARED, mmap.PROT_READ)
        os.closerange(3, 100000)
        print(m[0:4], open(os.environ["D"] + "/config.json").read()[:1])
        """)
    assert out == "b'GGUF' {\n"


def test_a_secondary_waits_for_its_primary(plain, mounted):
    argv = ["cat", mounted.path("config.json")]
    lonely = mounted.run(*argv, role=2, env={"OSSC_WAIT_SEC": "1"})
    assert lonely.returncode == 1 and b"Input/output error" in lonely.stderr
    assert lonely.stderr.count(b"oss-connector:") == 1
    secondary = subprocess.Popen(argv, env=mounted.preload(2), stdout=subprocess.PIPE)
    primary = subprocess.Popen(["cat", mounted.path("config.json"), "-"], env=mounted.preload(1),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        want = (plain / "config.json").read_bytes()
        assert secondary.communicate(timeout=60)[0] == want
        assert primary.communicate(timeout=60)[0] == want
    finally:
        secondary.kill()
        primary.kill()


def test_eight_processes_download_a_cold_object_once(store, plain, mounted):
    path = mounted.path("model-00001-of-00002.safetensors")
    want = model.sum_file(plain / "model-00001-of-00002.safetensors")
    readers = [subprocess.Popen(["sha256sum", path], env=mounted.preload(), stdout=subprocess.PIPE) for _ in range(8)]
    for reader in readers:
        assert reader.communicate(timeout=60)[0].split()[0].decode() == want
    size = (plain / "model-00001-of-00002.safetensors").stat().st_size
    got = store.counters("models/m/model-00001-of-00002.safetensors")["bytes"]
    assert size <= got <= size + 8 * MiB


WRONG = [
    ({"ENABLE_CONNECTOR": "3"}, b"ENABLE_CONNECTOR must be"),
    ({"MODEL_DIR": "relative"}, b"MODEL_DIR must be an absolute path"),
    ({"MODEL_DIR": ""}, b"MODEL_DIR is not"),
    ({"OSS_PATH": "http://x/"}, b"OSS_PATH must begin with"),
    ({"OSS_ACCESS_KEY_SECRET": ""}, b"belong together"),
]


@pytest.mark.parametrize("wrong, words", WRONG)
def test_a_wrong_environment_is_said_once_and_changes_nothing(wrong, words, mounted):
    env = {"ENABLE_CONNECTOR": "1", **wrong}
    out = subprocess.run(["cat", "/proc/self/comm"], env={**mounted.preload(), **env}, capture_output=True)
    assert (out.returncode, out.stdout) == (0, b"cat\n")
    assert words in out.stderr and out.stderr.count(b"\n") == 1


def test_without_enable_connector_no_system_call_is_added():
    """The same program with and without the library: only the loader's work differs."""
    def trace(env):
        log = subprocess.run(["strace", "-f", "-e", "trace=!mmap,mprotect,munmap", "-o", "/dev/stdout", "cat",
                              "/etc/hostname", "/proc/self/comm"], env={**bare_env(), **env}, capture_output=True)
        # Two names of one thing: libc's fstat() is either.
        text = log.stdout.decode(errors="replace").replace("newfstatat", "fstat")
        names = re.findall(r"^\d+ +(\w+)\(", text, re.M)
        # From the first thing the program itself does: the loader has done its part by then.
        return names[len(names) - 1 - names[::-1].index("brk"):] if "brk" in names else names

    assert trace({"LD_PRELOAD": str(LIBRARY)}) == trace({})


def test_the_library_shows_its_version():
    out = subprocess.run(["nm", "-D", str(LIBRARY)], capture_output=True, text=True, check=True).stdout
    assert re.search(r"ossc_preload_version_\d+\.\d+\.\d+", out)
    assert not re.search(r"@GLIBC", out)


def test_a_mapping_larger_than_the_cache_is_right_and_stays_so(plain, start_daemon):
    daemon = start_daemon({"cache": {"size": "4MiB", "chunkSize": "1MiB"}}, prefix="m/")
    name = "model-00001-of-00002.safetensors"
    out = python(daemon, f"""
        import hashlib, mmap, os
        f = open(os.environ["D"] + "/{name}", "rb")
        m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
        print(hashlib.sha256(m).hexdigest())
        m.madvise(mmap.MADV_DONTNEED)
        print(hashlib.sha256(m).hexdigest())
        """)
    assert out.split() == [model.sum_file(plain / name)] * 2


@pytest.mark.parametrize("size", ["256MiB", "4MiB"])
def test_threads_that_open_read_map_fork_and_close_see_no_wrong_byte(size, plain, start_daemon):
    daemon = start_daemon({"cache": {"size": size, "chunkSize": "1MiB"}}, prefix="m/")
    name = "model-00001-of-00002.safetensors"
    rounds = 1000 if size == "256MiB" else 100
    out = daemon.run(PROGRAMS / "thrash", daemon.path(name), plain / name, 8, rounds)
    assert (out.returncode, out.stdout) == (0, b"right\n"), out.stderr.decode()


def test_a_local_file_with_a_store_name_is_hidden_and_said_once(plain, mounted):
    mounted.model_dir.mkdir()
    (mounted.model_dir / "config.json").write_text("local\n")
    out = mounted.run("cat", mounted.path("config.json"), mounted.path("config.json"))
    assert out.stdout == (plain / "config.json").read_bytes() * 2
    assert out.stderr.count(b"has the name of a store file") == 1
    listed = mounted.run("ls", mounted.model_dir).stdout.split()
    assert listed.count(b"config.json") == 1


def test_the_daemons_death_is_an_error_or_a_new_daemon_but_never_a_wrong_byte(plain, mounted):
    """A secondary starts no daemon: what was not read before fails, and a mapping stays right."""
    first = subprocess.Popen(["cat", mounted.path("config.json"), "-"], env=mounted.preload(1),
                             stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    name = "model-00002-of-00002.safetensors"
    code = textwrap.dedent(f"""
        import errno, hashlib, mmap, os, sys
        D = os.environ["MODEL_DIR"]
        f = os.open(D + "/{name}", os.O_RDONLY)
        g = os.open(D + "/gguf/model-q8_0.gguf", os.O_RDONLY)
        m = mmap.mmap(g, 0, mmap.MAP_SHARED, mmap.PROT_READ)
        print("mapped", flush=True)
        sys.stdin.readline()
        try:
            h = hashlib.sha256()
            while piece := os.read(f, 1 << 20):
                h.update(piece)
            print(h.hexdigest())
        except OSError as e:
            print(errno.errorcode[e.errno])
        print(hashlib.sha256(m).hexdigest())
        """)
    second = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=mounted.preload(2, OSSC_WAIT_SEC="1"), text=True)
    try:
        assert second.stdout.readline() == "mapped\n"
        mounted.kill()
        read, mapped = second.communicate("go\n", timeout=100)[0].split()
        assert read in ("EIO", model.sum_file(plain / name))
        assert mapped == model.sum_file(plain / "gguf" / "model-q8_0.gguf")
    finally:
        for process in first, second:
            process.kill()
            process.wait()


def test_file_calls_through_syscall_are_seen(plain, mounted):
    out = python(mounted, """
        import ctypes, os, platform, struct, sys
        if platform.machine() != "x86_64":
            sys.exit(print("10 5 True"))
        call = ctypes.CDLL(None, use_errno=True).syscall
        path = os.environ["D"].encode() + b"/config.json"
        buf = ctypes.create_string_buffer(256)
        fd = call(257, -100, path, 0, 0)
        got = call(0, fd, buf, 10)
        how = ctypes.create_string_buffer(struct.pack("QQQ", 0, 0, 0), 24)
        other = call(437, os.open(os.environ["D"], os.O_RDONLY), b"config.json", how, 24)
        print(got, call(0, other, buf, 5), call(3, fd) == 0 and call(0, fd, buf, 1) == -1)
        """)
    assert out == "10 5 True\n"


def test_freopen_reads_a_copy(plain, mounted):
    out = mounted.run("uniq", mounted.path("config.json"))
    assert out.stdout == (plain / "config.json").read_bytes(), out.stderr.decode()
