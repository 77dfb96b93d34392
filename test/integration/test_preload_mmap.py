"""Mapped store files are what mapped plain files are, resident and lazy, cold and with a cache that evicts."""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest

import model
import wire
from conftest import KEY, has_userfaultfd
from daemon import BUILD, Daemon
from store import Store, synth_bytes

MiB = 1 << 20
SIZE = 12 * MiB + 777
PROGRAMS = BUILD / "test" / "programs"
NAMES = ["one.bin", "two.bin"]
# Of the cache: everything fits, or a quarter of the file.
ALL, QUARTER = "256MiB", "4MiB"


@pytest.fixture(scope="module")
def files():
    """A store with two files; `files.plain` is their folder."""
    with Store(keys=[KEY], buckets=["models"]) as s:
        s.plain = s.root / "models" / "m"
        for name in NAMES:
            model.write_file(s.plain / name, b"", name, SIZE)
        (s.plain / "small").write_text("small\n")
        s.rescan()
        yield s


@pytest.fixture
def start(files):
    """start(mode, cache) -> a daemon on `files`."""
    running = []

    def begin(mode, cache=ALL, **conf):
        cache = {"size": cache, "chunkSize": "1MiB"}
        d = Daemon(files, {"mmap": mode, "cache": cache, **conf}, prefix="m/", key=KEY)
        running.append(d)
        return d.start()

    yield begin
    for d in running:
        d.__exit__()


@pytest.fixture(scope="module")
def plain_run(files):
    """What a program prints on the plain files; run once."""
    seen = {}

    def run(program):
        if program not in seen:
            out = subprocess.run([PROGRAMS / program, *(files.plain / n for n in NAMES)], capture_output=True, timeout=60)
            assert out.returncode == 0, out.stderr
            seen[program] = out.stdout
        return seen[program]

    return run


whole_uffd = pytest.mark.skipif(not has_userfaultfd(), reason="this user may not have a full userfaultfd")
MODES = ["resident", pytest.param("lazy", marks=whole_uffd)]


def same(plain_run, daemon, program, *before, names=NAMES, env=None):
    """The program's output is that of the plain run; returns its stderr."""
    want = plain_run(program)
    out = daemon.run(*before, PROGRAMS / program, *(daemon.path(n) for n in names), env=env)
    assert out.returncode == 0, out.stderr.decode() + out.stdout.decode()[-500:]
    assert out.stdout.decode().splitlines() == want.decode().splitlines(), out.stderr.decode()
    return out.stderr.decode()


def python(daemon, code, *args, role=1, **kw):
    out = daemon.run(sys.executable, "-c", textwrap.dedent(code), *args, role=role, **kw)
    assert out.returncode == 0, out.stderr.decode()
    return out.stdout.decode()


@pytest.mark.parametrize("program", ["map_ops", "map_move", "map_fork"])
@pytest.mark.parametrize("cache", [ALL, QUARTER])
@pytest.mark.parametrize("mode", MODES)
def test_every_call_on_mapped_memory_does_what_it_does_on_a_plain_file(mode, cache, program, plain_run, start):
    same(plain_run, start(mode, cache), program)


def test_more_locked_memory_than_one_may_have_is_the_kernels_answer(start, files):
    """Not one of a claim that has to be taken anew: that is tried again, and fails otherwise."""
    bare = ["setpriv", "--bounding-set=-ipc_lock"] if os.geteuid() == 0 else []
    code = textwrap.dedent("""
        import errno, mmap, os, sys
        try:
            mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 0, mmap.MAP_PRIVATE | 0x2000, mmap.PROT_READ)
        except OSError as e:
            print(errno.errorcode[e.errno])
        """)
    daemon = start("resident", ALL)
    for path in files.plain / NAMES[0], daemon.path(NAMES[0]):
        out = daemon.run("prlimit", "--memlock=65536", *bare, sys.executable, "-c", code, path)
        assert out.stdout == b"EAGAIN\n", out.stderr


@contextlib.contextmanager
def evictors(daemon, count):
    """Processes that read both files over and over, so that a small cache keeps nothing."""
    script = 'while :; do cat "$0" "$1" > /dev/null || exit; done'
    running = [subprocess.Popen(["bash", "-c", script, *(daemon.path(n) for n in NAMES)], env=daemon.preload())
               for _ in range(count)]
    try:
        yield
        assert all(p.poll() is None for p in running)
    finally:
        for p in running:
            p.kill()
            p.wait()


@pytest.mark.parametrize("mode", MODES)
def test_mappings_stay_right_while_others_push_their_chunks_out(mode, plain_run, start):
    daemon = start(mode, QUARTER)
    with evictors(daemon, 2):
        same(plain_run, daemon, "map_ops")


@pytest.mark.parametrize("mode", MODES)
def test_threads_that_map_write_fork_and_close_see_no_wrong_byte(mode, files, start):
    daemon = start(mode, QUARTER)
    out = daemon.run(PROGRAMS / "thrash", daemon.path(NAMES[0]), files.plain / NAMES[0], 8, 150)
    assert (out.returncode, out.stdout) == (0, b"right\n"), out.stderr.decode()


STRAY = """
    import mmap, sys
    fd = int(sys.argv[1])
    memory = mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)
    print("ready", flush=True)
    while True:
        memory.madvise(mmap.MADV_DONTNEED)
        for at in range(0, len(memory), 4096):
            memory[at]
    """


@pytest.mark.parametrize("mode", MODES)
def test_zero_pages_of_a_careless_reader_are_never_shown(mode, files, plain_run, start):
    """It touches the cache's memory where there is nothing, and so makes pages of zeros there, for everybody."""
    daemon = start(mode, QUARTER)
    with wire.Session(daemon.socket) as session:
        session.hello()
        (mount, *_), _ = session.mount_of(daemon)
        memory = session.open(mount, NAMES[0])[3]
        careless = subprocess.Popen([sys.executable, "-c", textwrap.dedent(STRAY), str(memory)],
                                    pass_fds=[memory], stdout=subprocess.PIPE)
        try:
            assert careless.stdout.readline() == b"ready\n"
            with evictors(daemon, 1):
                for _ in range(5):
                    same(plain_run, daemon, "map_move", names=NAMES[:1])
            assert careless.poll() is None
        finally:
            careless.kill()
            careless.communicate()


@pytest.mark.parametrize("mode", MODES)
def test_ten_thousand_mappings_of_one_file(mode, files, start):
    """Each costs as much as the first ones did: a list of pieces would make the second half thrice as dear."""
    daemon = start(mode)
    out = daemon.run(PROGRAMS / "map_many", daemon.path(NAMES[0]), files.plain / NAMES[0], 10000)
    assert out.returncode == 0, out.stdout.decode() + out.stderr.decode()
    assert int(out.stdout.split()[1]) < 220, out.stdout


SMAPS = """
    import mmap, re, sys
    f = open(sys.argv[1], "rb")
    prots = [mmap.PROT_READ, mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE]
    maps = [mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, prot) for prot in prots]
    for m in maps:
        sum(m[i] for i in range(0, len(m), 4096))
    own = rss = 0
    for area in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", open("/proc/self/smaps").read())[1:]:
        size = int(re.search(r"Size: +(\\d+)", area)[1]) << 10
        if size == (len(f.read()) + f.seek(0) + 4095) // 4096 * 4096:
            own += int(re.search(r"Private_Dirty: +(\\d+)", area)[1]) + int(re.search(r"Anonymous: +(\\d+)", area)[1])
            rss += int(re.search(r"Rss: +(\\d+)", area)[1])
    print(own, rss // 4 >= 3 * len(maps[0]) // 4096)
    """


@pytest.mark.parametrize("mode", MODES)
def test_pages_are_shared_with_the_cache(mode, start):
    """Three mappings of a file, one as torch and safetensors ask for it, hold no byte of their own."""
    daemon = start(mode)
    assert python(daemon, SMAPS, daemon.path(NAMES[0])) == "0 True\n"
    assert daemon.status()["cache"]["used"] < 2 * SIZE + MiB


COUNT = """
    import mmap, os, sys
    f = open(sys.argv[1], "rb")
    before = len(os.listdir("/proc/self/task"))
    m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
    print(len(os.listdir("/proc/self/task")) - before, m[0], m[len(m) - 1])
    """


@pytest.mark.parametrize("mode, threads", [("resident", 0), ("auto", 0), pytest.param("lazy", 1, marks=whole_uffd)])
def test_only_a_lazy_mapping_brings_a_thread(mode, threads, files, start):
    """What is small or there already is resident with auto."""
    daemon = start(mode)
    want = (files.plain / NAMES[0]).read_bytes()
    assert python(daemon, COUNT, daemon.path(NAMES[0])) == f"{threads} {want[0]} {want[-1]}\n"


@whole_uffd
def test_auto_does_not_wait_for_a_large_file(start_daemon, store):
    """Its first page is there long before the store has sent the rest."""
    size = 96 * MiB
    store.synth("models/m/large.bin", size=size, seed=5)
    store.limits(per_connection_bps=MiB)
    daemon = start_daemon({"cache": {"size": "256MiB", "chunkSize": "1MiB"}}, prefix="m/")
    p = subprocess.Popen([sys.executable, "-c", textwrap.dedent("""
        import mmap, os, sys
        f = open(sys.argv[1], "rb")
        m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        m[5] = 77
        print(m[5], m[6], len(os.listdir("/proc/self/task")), flush=True)
        sys.stdin.readline()
        print(m[5], m[len(m) - 1])
        """), daemon.path("large.bin")], env=daemon.preload(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline() == f"77 {synth_bytes(5, 6, 1)[0]} 2\n"
        assert store.counters("models/m/large.bin")["bytes"] < size // 2
        store.limits(per_connection_bps=0)
        assert p.communicate("go\n", timeout=60)[0] == f"77 {synth_bytes(5, size - 1, 1)[0]}\n"
    finally:
        p.kill()
        p.wait()


# ---- where the kernel does not let us -----------------------------------------------------------


def deny(what):
    """A prefix that runs a program without userfaultfd; skips where no filter can be made."""
    probe = subprocess.run([PROGRAMS / "map_deny", what, "true"], capture_output=True)
    if probe.returncode == 77:
        pytest.skip(f"no seccomp filter can be made here: {probe.stderr.decode()}")
    return [PROGRAMS / "map_deny", what]


@pytest.mark.parametrize("cache", [ALL, QUARTER])
@pytest.mark.parametrize("mode", ["auto", "lazy"])
def test_without_userfaultfd_mappings_are_resident(mode, cache, plain_run, start):
    said = same(plain_run, start(mode, cache), "map_ops", *deny("all"))
    assert said.count("mmap: lazy") == (1 if mode == "lazy" else 0), said


def test_the_programs_own_accesses_alone_can_be_filled(plain_run, start):
    """Said once; auto does not do it."""
    env = {"MAP_OPS_NO_KERNEL": "1"}
    plain_run("map_ops")
    for mode, lines in ("lazy", 1), ("auto", 0):
        daemon = start(mode, QUARTER)
        out = daemon.run(*deny("kernel"), PROGRAMS / "map_ops", *(daemon.path(n) for n in NAMES), env=env)
        assert out.returncode == 0, out.stderr
        want = [line for line in plain_run("map_ops").decode().splitlines()
                if not line.startswith(("write ", "writev ", "pread into", "readv ", "open "))]
        assert out.stdout.decode().splitlines() == want
        assert out.stderr.decode().count("mmap: lazy") == lines, out.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize("mode", ["auto", "lazy"])
def test_an_ordinary_user_maps_as_well(mode, files, start):
    """vm.unprivileged_userfaultfd is 0 by default: auto is resident, lazy fills own accesses."""
    daemon = start(mode, QUARTER)
    library = shutil.copy(BUILD / "libossc_preload.so", daemon.dir)
    daemon.model_dir.mkdir()
    daemon.dir.chmod(0o755)
    daemon.model_dir.chmod(0o777)
    code = textwrap.dedent("""
        import hashlib, mmap, os, sys
        f = open(sys.argv[1], "rb")
        m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
        print(hashlib.sha256(m).hexdigest(), len(os.listdir("/proc/self/task")))
        """)
    out = subprocess.run(["/usr/bin/python3", "-c", code, daemon.path(NAMES[0])], capture_output=True, timeout=60,
                         env={**daemon.preload(), "LD_PRELOAD": library}, user=65534, group=65534, extra_groups=[], cwd="/")
    digest, threads = out.stdout.decode().split() or ("", out.stderr.decode())
    assert digest == model.sum_file(files.plain / NAMES[0]), threads
    if open("/proc/sys/vm/unprivileged_userfaultfd").read().strip() == "0":
        assert threads == ("2" if mode == "lazy" else "1")


# ---- the daemon's death -----------------------------------------------------------------------------


LOOK = """
    import hashlib, mmap, os, signal, sys
    f = open(sys.argv[1], "rb")
    g = open(sys.argv[1], "rb")
    m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
    w = mmap.mmap(g.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    w[5 << 20] = w[5 << 20] ^ 1
    print(m[0], flush=True)
    sys.stdin.readline()
    w[5 << 20] = w[5 << 20] ^ 1
    pid = os.fork()
    if pid == 0:
        os._exit(hashlib.sha256(m).digest() != hashlib.sha256(w).digest())
    print(os.waitpid(pid, 0)[1], hashlib.sha256(m).hexdigest(), hashlib.sha256(w).hexdigest())
    """


class Primary:
    """A process that has read something, and does no more while it lives."""

    def __init__(self, daemon):
        self.process = subprocess.Popen(["cat", daemon.path("small"), "-"], env=daemon.preload(1), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"small\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def look(daemon, role, **env):
    p = subprocess.Popen([sys.executable, "-c", textwrap.dedent(LOOK), daemon.path(NAMES[0])], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=daemon.preload(role, **env))
    assert p.stdout.readline() != "", p.stderr.read()
    return p


@pytest.mark.parametrize("cache", [ALL, QUARTER])
@pytest.mark.parametrize("mode", MODES)
def test_mappings_are_right_after_the_daemons_death_and_return(mode, cache, files, start):
    daemon = start(mode, cache)
    p = look(daemon, 1)
    try:
        daemon.kill()
        daemon.start()
        out, err = p.communicate("go\n", timeout=100)
        want = model.sum_file(files.plain / NAMES[0])
        assert out.split() == ["0", want, want], err
    finally:
        p.kill()
        p.wait()


def test_a_resident_mapping_needs_no_daemon(files, start):
    daemon = start("resident")
    with Primary(daemon):
        p = look(daemon, 2, OSSC_WAIT_SEC="1")
        try:
            daemon.kill()
            out, err = p.communicate("go\n", timeout=100)
            want = model.sum_file(files.plain / NAMES[0])
            assert out.split() == ["0", want, want], err
        finally:
            p.kill()
            p.wait()


@whole_uffd
def test_what_nobody_can_fill_any_more_is_sigbus_and_a_line(files, start):
    """A secondary starts no daemon.  The child gets the signal as its parent does."""
    daemon = start("lazy", QUARTER)
    with Primary(daemon):
        p = look(daemon, 2, OSSC_WAIT_SEC="1")
        try:
            daemon.kill()
            out, err = p.communicate("go\n", timeout=100)
            assert p.returncode == -signal.SIGBUS and "cannot be filled" in err, (p.returncode, out, err)
        finally:
            p.kill()
            p.wait()


# ---- bounds ------------------------------------------------------------------------------------------


def test_a_copy_downloads_each_byte_once(files, start):
    """More than the cache may pin, without userfaultfd."""
    daemon = start("resident", QUARTER, prefetch={"vcpus": 1, "workers": 1})
    before = files.counters(f"models/m/{NAMES[0]}").get("bytes", 0)
    out = python(daemon, """
        import hashlib, mmap, sys
        f = open(sys.argv[1], "rb")
        m = mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
        print(hashlib.sha256(m).hexdigest())
        """, daemon.path(NAMES[0]))
    assert out.strip() == model.sum_file(files.plain / NAMES[0])
    assert files.counters(f"models/m/{NAMES[0]}")["bytes"] - before <= SIZE + 3 * MiB


@whole_uffd
def test_the_configuration_key_can_be_reloaded(start):
    """A file that is opened after it is mapped the new way."""
    daemon = start("resident")
    assert python(daemon, COUNT, daemon.path(NAMES[0]))[0] == "0"
    daemon.conf["mmap"] = "lazy"
    daemon.write_conf()
    os.kill(daemon.pid, signal.SIGHUP)
    while "reloaded" not in daemon.log():
        assert daemon.process.poll() is None
    assert python(daemon, COUNT, daemon.path(NAMES[0]))[0] == "1"
