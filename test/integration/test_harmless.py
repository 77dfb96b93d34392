"""The preload library in programs that have nothing to do with a store, and in unusual company."""
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time

import pytest

from daemon import BUILD, TOP, Daemon
from store import Store

MiB = 1 << 20
LIBRARY = str(BUILD / "libossc_preload.so")
PROGRAMS = BUILD / "test" / "programs"
SOURCES = TOP / "test" / "programs"
FILES = {"config.json": 700, "a.bin": 3 * MiB + 17, "b.bin": 100_000, "sub/c.bin": 70_001, "sub/deep/d.txt": 5000}


def bare_env(**more):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("OSS", "LD_", "ENABLE_CONNECTOR", "MODEL_DIR", "HTTP_"))}
    return {**env, **more}


# ---- elsewhere: no path of the store is touched ----------------------------------------------

OFF = {"LD_PRELOAD": LIBRARY}


def elsewhere(model_dir):
    return {**OFF, "ENABLE_CONNECTOR": "1", "MODEL_DIR": str(model_dir), "OSS_PATH": "oss://bucket/prefix/",
            "OSSC_SOCKET": "/nonexistent/osscd.sock", "OSSC_DAEMON": "/nonexistent/osscd"}


# The same question by another name counts as the same: which of them libc asks is its own affair.
ALIKE = {"newfstatat": "stat", "fstat": "stat", "stat": "stat", "lstat": "stat", "statx": "stat",
         "access": "access", "faccessat": "access", "faccessat2": "access", "readlinkat": "readlink",
         "creat": "openat", "open": "openat", "dup2": "dup3"}
# What libc asks beside when it answers eaccess() by itself; the hook asks the kernel at once.
IDENTITY = ("getuid", "geteuid", "getgid", "getegid")
# A program's own heap: addresses differ from run to run.
UNSTEADY = ("brk", "futex", "getrandom", "restart_syscall", "rt_sigreturn", "wait4", "madvise", "munmap")
# What loading one more library costs the loader: 3 mappings, found and read once; and now and then one more
# block for the loader's own lists.
LOADING = {"openat": 1, "read": 1, "stat": 1, "close": 1, "mmap": 4}
# What the constructor asks when the connector is on: which process this is, and whether one of the descriptors
# (here three) came from a program with store files open.
STARTING = {"getpid": 1, "ppoll": 1, "stat": 3}
# What the first paths cost: where MODEL_DIR lies, whether that is the working directory, whether it holds
# local files; and a page that tells forked children apart.
FIRST_PATH = {"mmap": 2, "openat": 2, "stat": 1, "readlink": 1, "close": 2, "getcwd": 1, "getdents64": 2}
# What a directory costs that is opened, and a name that is missing or made: a symbolic link may lead to MODEL_DIR
# from anywhere, so it is asked which directory this is.
LOOKING = {"openat", "stat", "close", "readlink", "getcwd", "fcntl"}
A_LOOK = 5


def calls(log):
    """-> {system call: how often}, how many names were missing or directories opened."""
    counts, looks = collections.Counter(), 0
    for line in open(log):
        m = re.match(r"\d+ +(\w+)\(", line)
        if not m or m.group(1) in UNSTEADY or m.group(1) in IDENTITY:
            continue
        missing = " = -1 ENOENT" in line
        if m.group(1) == "execve" and missing:
            continue
        counts[ALIKE.get(m.group(1), m.group(1))] += 1
        looks += missing or "O_DIRECTORY" in line or "O_CREAT" in line or m.group(1) in ("chdir", "mkdir", "getdents64")
    return counts, looks


def traced(argv, env, work):
    if work.exists():
        shutil.rmtree(work)
    work.mkdir()
    log = work.parent / "strace"
    preload = [x for k, v in env.items() for x in ("-E", f"{k}={v}")]
    out = subprocess.run(["strace", "-f", "-o", log, *preload, *argv], cwd=work, env=bare_env(LC_ALL="C"),
                         stdin=subprocess.DEVNULL, capture_output=True, timeout=100)
    return *calls(log), (out.returncode, out.stdout)


WALK = "import os\nfor d, _, names in os.walk('/usr/include/linux'):\n for n in names: open(os.path.join(d, n)).close()"
EVERYDAY = {
    "true": ["/bin/true"],
    "ls": ["ls", "-laR", "/usr/include/linux"],
    "find": ["find", "/usr/include/linux", "-name", "*.h", "-size", "+1"],
    "grep": ["grep", "-r", "EAGAIN", "/usr/include/asm-generic", "/usr/include/linux"],
    "cp": ["cp", "-a", "/usr/include/linux", "copy"],
    "tar": ["tar", "cf", "x.tar", "-C", "/usr/include", "linux"],
    "sort": ["sort", "/etc/passwd"],
    "bash": ["bash", "-c", 'W=$PWD; cd /usr/include; for f in *.h; do read x < $f; done; cat std*.h > $W/x; wc -l < $W/x'],
    "perl": ["perl", "-e", 'chdir "/usr/include"; opendir(D, "."); for (readdir D) { next unless -f; open(F, $_); <F> }'],
    "python": [sys.executable, "-I", "-S", "-c", WALK],
}


def added(preloaded, bare, *allowed):
    """System calls made beyond those of the bare program and what each program that it started may add."""
    want = collections.Counter(bare)
    for each in allowed:
        for call, n in each.items():
            want[call] += n * bare["execve"]
    # libc's eaccess() asks for a file's mode and reckons by itself; the hook asks the kernel in one call.
    want["access"] += sum(bare[c] for c in ("stat",)) if preloaded["stat"] < want["stat"] else 0
    return preloaded - want


@pytest.mark.parametrize("program", EVERYDAY)
def test_off_it_adds_no_system_call_but_those_that_load_it(program, tmp_path):
    bare, _, said = traced(EVERYDAY[program], {}, tmp_path / "work")
    preloaded, _, said_then = traced(EVERYDAY[program], OFF, tmp_path / "work")
    assert said_then == said
    assert not added(preloaded, bare, LOADING)


@pytest.mark.parametrize("program", EVERYDAY)
def test_on_for_another_directory_it_adds_its_start_and_a_look_at_directories_and_missing_names(
        program, tmp_path):
    model_dir = tmp_path / "model"
    model_dir.mkdir()
    bare, looks, said = traced(EVERYDAY[program], {}, tmp_path / "work")
    preloaded, _, said_then = traced(EVERYDAY[program], elsewhere(model_dir), tmp_path / "work")
    assert said_then == said
    more = added(preloaded, bare, LOADING, STARTING, *[FIRST_PATH] * (program != "true"))
    assert more.pop("getpid", 0) <= bare["clone"]  # a child asks once who it is
    assert set(more) <= LOOKING, more
    assert sum(more.values()) <= A_LOOK * looks, (more, looks)


def test_with_its_own_suites_python_behaves_as_without():
    """A part of `make test-suites`: CPython's own tests, every one of which must end alike."""
    out = subprocess.run([TOP / "scripts/run-suites", "--quick"], capture_output=True, text=True, timeout=500)
    assert out.returncode == 0, out.stdout + out.stderr
    assert int(re.search(r"(\d+) tests in two states: no difference", out.stdout).group(1)) > 500


def test_a_broken_configuration_is_said_once_and_changes_nothing(tmp_path):
    env = bare_env(**OFF, ENABLE_CONNECTOR="1", MODEL_DIR="relative")
    out = subprocess.run(["bash", "-c", "ls /usr/include/linux | wc -l"], env=env, capture_output=True, text=True)
    assert out.returncode == 0 and int(out.stdout) > 100
    assert all("MODEL_DIR must be an absolute path" in line for line in out.stderr.splitlines()), out.stderr


def test_the_bench_of_what_is_at_hand_has_a_row_for_each_operation(tmp_path):
    """What its figures are is for a quiet machine."""
    out = tmp_path / "rows.json"
    env = bare_env(WARM_BYTES=str(4 * MiB), WARM_NAMES="50", BENCH_RUNS="1", BENCH_JSON=str(out))
    run = subprocess.run([TOP / "scripts/bench-warm"], env=env, capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stderr
    rows = {row["name"]: row for row in json.loads(out.read_text())}
    assert len(rows) == (24 if os.geteuid() == 0 else 12) and all(row["ratio"] > 0 for row in rows.values()), rows
    for name in ("sequential", "random", "touching", "a model loaded", "stat", "readdir of 50 names", "open and close", "start of"):
        assert any(row.startswith(name) for row in rows), name


# ---- in company: a mount, read by programs with other things preloaded or built in --------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A daemon, and the same files on disk."""
    plain = tmp_path_factory.mktemp("plain")
    with Store(keys=[("LTAI5tTestAccessKeyId0001", "Secret0123456789")], buckets=["models"]) as store:
        for seed, (name, size) in enumerate(FILES.items(), 1):
            path = plain / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(store.put(f"models/{name}", size=size, seed=seed))
        (plain / "config.json").write_bytes(store.put("models/config.json", b'{\n "model": "tiny",\n "layers": 2\n}\n'))
        with Daemon(store, {"cache": {"size": "256MiB"}}, key=("LTAI5tTestAccessKeyId0001", "Secret0123456789")) as d:
            d.plain = plain
            yield d


def library(name):
    found = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    m = re.search(rf"^\s*{re.escape(name)}\S* .*=> (\S+)$", found, re.M)
    if not m:
        pytest.skip(f"{name} is not installed")
    return m.group(1)


def compiler(name):
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


def build(tmp_path, cc, source, *flags, name=None):
    """A program of test/programs by another compiler, or from a text."""
    if isinstance(source, str):
        text = tmp_path / f"{name}.c"
        text.write_text(textwrap.dedent(source))
        source = text
    out = tmp_path / (name or source.stem)
    subprocess.run([cc, "-D_GNU_SOURCE", "-O1", "-g", *flags, "-o", out, source], check=True, timeout=100)
    return out


def both(model, argv, **env):
    """What a program says of the plain directory, and of the mount under preload: {dir} in argv is where."""
    out = []
    for where, base in ((model.plain, bare_env()), (model.model_dir, model.preload())):
        base = {**base, **{k: v for k, v in env.items() if k != "LD_PRELOAD" or where != model.plain}}
        base["D"] = str(where)
        run = subprocess.run([str(a).replace("{dir}", str(where)) for a in argv], env=base, capture_output=True,
                             timeout=100)
        out.append((run.returncode, run.stdout.replace(str(where).encode(), b"DIR"), run.stderr.decode()))
    return out


def same(model, argv, **env):
    plain, mounted = both(model, argv, **env)
    assert plain[0] == 0, plain[2]
    assert mounted[:2] == plain[:2], mounted[2]
    return mounted


PYTHON_READS = """
import hashlib, mmap, os, threading
D = os.environ["D"]
def read(path):
    with open(path, "rb") as f:
        whole = f.read()
    with open(path, "rb") as f:
        m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
        assert m[:] == whole
    sums[os.path.relpath(path, D)] = hashlib.sha256(whole).hexdigest()
sums = {}
threads = [threading.Thread(target=read, args=(os.path.join(d, n),)) for d, _, ns in os.walk(D) for n in ns]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(sums.items()))
"""


@pytest.mark.parametrize("allocator", ["libjemalloc.so.2", "libtcmalloc_minimal.so.4"])
@pytest.mark.parametrize("first", ["allocator", "ours"])
def test_allocators_preloaded_beside_it(allocator, first, model):
    preloads = [library(allocator), LIBRARY]
    if first == "ours":
        preloads.reverse()
    env = {"LD_PRELOAD": ":".join(preloads)}
    same(model, [sys.executable, "-c", PYTHON_READS], **env)
    same(model, [PROGRAMS / "dirwalk", "{dir}"], **env)
    same(model, ["bash", "-c", 'ls -R "$D"; cat "$D"/sub/*.bin | sha256sum; sort < "$D"/config.json'], **env)


def test_a_musl_program_reads_files_and_directories(model, tmp_path):
    cc = compiler("musl-gcc")
    same(model, [build(tmp_path, cc, SOURCES / "dirwalk.c"), "{dir}"])
    same(model, [build(tmp_path, cc, SOURCES / "readall.c"), "{dir}/a.bin"])
    same(model, [build(tmp_path, cc, r"""
        #include <stdio.h>
        int main(int argc, char **argv)
        {
            char line[100];
            FILE *f = fopen(argv[1], "r");
            while (f != NULL && fgets(line, sizeof(line), f) != NULL)
                fputs(line, stdout);
            return f == NULL || fclose(f) != 0;
        }
        """, name="lines"), "{dir}/config.json"])


SANITIZERS = [("gcc", "address", "libasan.so"), ("gcc", "thread", "libtsan.so"), ("clang", "address", None),
              ("clang", "thread", None), ("gcc", "undefined", None)]


@pytest.mark.parametrize("cc,sanitizer,runtime", SANITIZERS)
def test_a_program_built_with_a_sanitizer(cc, sanitizer, runtime, model, tmp_path):
    """gcc's runtimes are libraries that want to come first; clang's are in the program."""
    cc = compiler(cc)
    preload = LIBRARY
    if runtime:
        path = subprocess.run([cc, f"-print-file-name={runtime}"], capture_output=True, text=True).stdout.strip()
        preload = f"{path}:{LIBRARY}"
    env = {"LD_PRELOAD": preload, "ASAN_OPTIONS": "detect_leaks=1", "TSAN_OPTIONS": "halt_on_error=1"}
    for source, what in (("readall.c", "{dir}/a.bin"), ("dirwalk.c", "{dir}"), ("statall.c", "{dir}/config.json")):
        program = build(tmp_path, cc, SOURCES / source, f"-fsanitize={sanitizer}", "-pthread")
        result = same(model, [program, what], **env)
        assert "Sanitizer" not in result[2], result[2]


def test_a_library_loaded_with_deepbind_gets_the_bytes_or_an_error(model, tmp_path):
    """Its calls may go past every preloaded library: then the file is not there."""
    build(tmp_path, "gcc", r"""
        #include <errno.h>
        #include <fcntl.h>
        #include <unistd.h>
        long first_bytes(const char *path, char *buf, long len)
        {
            int fd = open(path, O_RDONLY);
            return fd == -1 ? -errno : read(fd, buf, len);
        }
        """, "-shared", "-fPIC", name="plugin.so")
    program = build(tmp_path, "gcc", r"""
        #include <dlfcn.h>
        #include <stdio.h>
        int main(int argc, char **argv)
        {
            void *h = dlopen(argv[1], RTLD_NOW | RTLD_DEEPBIND);
            long (*f)(const char *, char *, long) = (long (*)(const char *, char *, long))dlsym(h, "first_bytes");
            char buf[700];
            long n = f(argv[2], buf, sizeof(buf));
            printf("%ld\n", n);
            fwrite(buf, 1, n > 0 ? n : 0, stdout);
            return 0;
        }
        """, "-ldl", name="loads")
    (_, plain, _), (code, mounted, err) = both(model, [program, tmp_path / "plugin.so", "{dir}/b.bin"])
    assert code == 0, err
    assert mounted in (plain, b"-2\n")


def test_threads_and_signal_stacks_of_the_smallest_size(model):
    plain, mounted = both(model, [PROGRAMS / "smallstack", "{dir}", "a.bin"])
    assert mounted[:2] == plain[:2] and plain[0] == 0, mounted


def opens(model, times, held):
    """System calls by which a program speaks to the daemon while it opens a file `times` over."""
    log = model.dir / "strace"
    code = """
import os, sys
times, held, path = int(sys.argv[1]), sys.argv[2] == "True", os.environ["FILE"]
first = os.open(path, os.O_RDONLY) if held else -1
for _ in range(times):
    os.close(os.open(path, os.O_RDONLY))
"""
    env = model.preload()
    preload = env.pop("LD_PRELOAD")
    # Not in the arguments: a primary whose arguments name MODEL_DIR connects at start.
    subprocess.run(["strace", "-f", "-E", f"LD_PRELOAD={preload}", "-E", f"FILE={model.path('b.bin')}",
                    "-e", "trace=sendmsg,recvmsg,connect", "-o", log, sys.executable, "-I", "-S", "-c", code,
                    str(times), str(held)], env=env, check=True, timeout=100)
    return collections.Counter(m.group(1) for m in re.finditer(r"^\d+ +(\w+)\(", open(log).read(), re.M))


def test_a_first_open_is_one_round_trip_and_others_of_the_object_are_none(model):
    assert not opens(model, 0, False)
    one = opens(model, 0, True)
    assert one["sendmsg"] == 3, one  # HELLO, MOUNT, OPEN
    assert opens(model, 200, True) == one
    # Closed in between: the session keeps it for a moment.
    seldom = opens(model, 200, False)
    assert seldom["sendmsg"] <= 3 + 2 * 3, seldom


CLOSES_AND_WAITS = """
import os, sys
for name in ("a.bin", "b.bin"):
    for _ in range(3):
        with open(os.environ["D"] + "/" + name, "rb") as f:
            f.read()
print("closed", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("expire", [0, 1])
def test_what_a_living_program_has_closed_is_given_up(expire, start_daemon, store):
    """Objects are kept for a moment, in case they are opened again; then they expire like any other."""
    for name in ("a.bin", "b.bin"):
        store.put(f"models/{name}", size=3 * MiB)
    d = start_daemon({"cache": {"size": "64MiB"}, "expireTimeSec": expire})
    env = d.preload(D=str(d.model_dir))
    with subprocess.Popen([sys.executable, "-c", CLOSES_AND_WAITS], env=env, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as p:
        assert p.stdout.readline() == b"closed\n"

        def held():
            return next(x["objects"] for x in d.status()["sessions"] if x["pid"] == p.pid)

        deadline = time.monotonic() + 20
        while held() != 0:
            assert expire != 0, "expireTimeSec 0 means at once"
            assert time.monotonic() < deadline, d.status()
            time.sleep(0.05)
        p.stdin.close()


def test_descriptors_of_any_number_come_through_exec(model):
    """A new program looks through the low numbers, and through all when it is told to."""
    for first, *others in ((20, 63), (63, 64), (64,), (500,), (64, 600)):
        script = "; ".join([f'exec {n}<"$D"/config.json' for n in (first, *others)]
                           + [f"head -n1 <&{n}" for n in (first, *others)] + [f'bash -c "cat <&{first}"'])
        same(model, ["bash", "-c", script])
    same(model, [sys.executable, "-c", """
import os, subprocess
fds = [os.open(os.environ["D"] + "/sub/c.bin", os.O_RDONLY) for _ in range(150)]
print(subprocess.run(["sha256sum", f"/dev/fd/{fds[3]}", f"/dev/fd/{fds[-1]}"], close_fds=False,
                     capture_output=True, text=True).stdout.split()[::2])
"""])


def test_the_first_to_open_a_file_may_be_a_vfork_child(model, tmp_path):
    """It shares its parent's memory: what it opens is not its parent's, and its parent can open as ever."""
    same(model, [build(tmp_path, "gcc", r"""
        #include <fcntl.h>
        #include <stdio.h>
        #include <sys/wait.h>
        #include <unistd.h>
        int main(int argc, char **argv)
        {
            char buf[20] = "";
            int status, fd;
            pid_t pid = vfork();
            if (pid == 0) {
                fd = open(argv[1], O_RDONLY);
                if (fd == -1 || dup2(fd, 0) == -1)
                    _exit(3);
                execlp("cat", "cat", NULL);
                _exit(4);
            }
            waitpid(pid, &status, 0);
            fd = open(argv[1], O_RDONLY);
            printf("%d %zd ", status, read(fd, buf, 10));
            close(fd);
            fd = open("/dev/null", O_RDONLY);
            printf("%zd %s\n", read(fd, buf, 10), buf);
            return 0;
        }
        """, name="vforks"), "{dir}/config.json"])
