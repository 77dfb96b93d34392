"""Names and directories: what walks, matches, opens, looks and changes, beside the same on a plain directory."""
import contextlib
import ctypes
import errno
import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap

import pytest

import model
from conftest import KEY
from daemon import BUILD, TOP, Daemon
from store import Store

MiB = 1 << 20
PROGRAMS = BUILD / "test" / "programs"


def bare_env(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OSS", "LD_PRELOAD", "ENABLE_CONNECTOR"))}
    return {**env, **more}


class World:
    """A model on disk and in the store, and a small tree of the same kind."""

    def __init__(self, top):
        self.plain = top / "plain" / "model"
        model.make(self.plain, total=2 * MiB, shards=2)
        (self.plain / "odd \udcff\x01 name").write_bytes(b"odd\n")
        (self.plain / "many").mkdir()
        for i in range(300):
            (self.plain / "many" / f"name {i:04d}").write_bytes(b"")
        self.small = top / "small" / "model"
        (self.small / "d").mkdir(parents=True)
        (self.small / "f").write_bytes(b"f\n")
        (self.small / "d" / "g").write_bytes(b"g\n")
        for path in self.small / "f", self.small / "d" / "g":
            path.chmod(0o444)
        self.store = Store(keys=[KEY], buckets=["models"])
        for root, prefix in (self.plain, "m"), (self.small, "s"):
            for path in sorted(p for p in root.rglob("*") if p.is_file()):
                with contextlib.suppress(UnicodeEncodeError):
                    self.store.put(f"models/{prefix}/{path.relative_to(root)}", path.read_bytes())
        (self.plain / "odd \udcff\x01 name").unlink()
        self.daemon = Daemon(self.store, {"cache": {"size": "64MiB"}}, key=KEY).start()
        self.nr = 0

    def mount(self, prefix="m/", where=None):
        """The environment of a MODEL_DIR of its own."""
        self.nr += 1
        where = where or self.daemon.dir / f"mount{self.nr}" / "model"
        return Mount(self.daemon, prefix, where)

    def close(self):
        self.daemon.stop()
        self.daemon.own_dir.cleanup()
        self.store.close()


class Mount:
    def __init__(self, daemon, prefix, where):
        self.dir = pathlib.Path(where)
        self.env = daemon.preload(OSS_PATH=f"oss://models/{prefix}", MODEL_DIR=str(where))

    def run(self, *argv, **kw):
        kw.setdefault("capture_output", True)
        return subprocess.run([os.fspath(a) for a in argv], env={**self.env, **kw.pop("env", {})}, timeout=60, **kw)

    def python(self, code, **env):
        out = self.run(sys.executable, "-c", PRELUDE + textwrap.dedent(code), env={"D": str(self.dir), **env})
        assert out.returncode == 0, out.stderr.decode()
        return out.stdout.decode()

    def make(self):
        """MODEL_DIR and the mount's directories on disk, as a first listing leaves them."""
        self.run("find", self.dir)
        return self


PRELUDE = """
import ctypes, errno, os, stat, sys
D = os.environ["D"]
libc = ctypes.CDLL(None, use_errno=True)
def error(call, *args, **kw):
    try:
        call(*args, **kw)
        return "fine"
    except OSError as e:
        return errno.errorcode[e.errno]
def code(r):
    return errno.errorcode[ctypes.get_errno()] if r == -1 else "fine"
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("names"))
    yield w
    w.close()


@pytest.fixture
def mount(world):
    return world.mount()


def both(plain, mount, argv, where=".", **env):
    """The same program inside the plain directory and inside MODEL_DIR."""
    bare = subprocess.run([os.fspath(a) for a in argv], cwd=plain / where, env=bare_env(**env), capture_output=True,
                          timeout=60)
    preloaded = mount.run(*argv, cwd=mount.dir / where, env=env)
    return bare, preloaded


# ---- walks ------------------------------------------------------------------------------------------------

FLAGS = {"PHYS": 1, "MOUNT": 2, "CHDIR": 4, "DEPTH": 8, "ACTIONRETVAL": 16}


def local_tree(top):
    """Everything a walk can meet, without the store."""
    t = top / "t"
    for d in "a/b/c", "empty", "deep/1/2/3/4", "closed":
        (t / d).mkdir(parents=True)
    for f in "file", "a/one", "a/b/two", "deep/1/2/3/4/leaf", "closed/n":
        (t / f).write_text(f)
    for link, target in (("a/link", "../file"), ("a/dangling", "nowhere"), ("a/b/up", ".."), ("loop", "loop"),
                         ("alink", "a"), ("a/blink", "b")):
        (t / link).symlink_to(target)
    os.mkfifo(t / "a/fifo")
    (t / "closed").chmod(0)
    return t


def walks():
    for flags in range(32):
        yield "nftw", flags, 1 + flags % 7, "t"
    for flags in 0, 1, 5, 13, 16 | 1, 16 | 13:
        for result in 1, 2, 3, 7:
            yield "nftw", flags, 4, "t/", "skip", "b", result
            yield "nftw", flags, 1, "t", "skip", "one", result
    for root in "t/none", "", "t/file", "t/loop", "t/alink", "t/a/dangling", "t/closed":
        for flags in 0, 1, 4:
            yield "nftw", flags, 3, root
    yield "nftw", 32, 3, "t"
    yield "ftw", 1, "t"
    yield "ftw", 9, "t/a"
    for options in 0x10, 0x02, 0x14, 0x12, 0x18, 0x30, 0x1c, 0x11, 0x50, 0x38:
        yield "fts", options, 0, "t"
        yield "fts", options, 1, "t/a/b", "t/a/", "t/alink", "t/a/dangling", "t/none", "t/file"
        yield "fts-children", options, options & 1, "t"
        yield "fts-children", options, 1, "t/"
        for instr in 1, 2, 4:
            for name in "b", "alink", "dangling", "one":
                yield "fts-set", options, instr, name, "t"
                yield "fts-set-child", options, instr, name, "t"
    yield "fts", 0x200, 1, "t"
    yield "fts", 0x10, 1, ""


def test_walks_are_those_of_libc_call_by_call(mount):
    """The same local tree below MODEL_DIR: our walk must visit what libc's does, in its order."""
    mount.make()
    tree = local_tree(mount.dir)
    try:
        for walk in walks():
            argv = [PROGRAMS / "names_walk", *map(str, walk)]
            bare, preloaded = both(mount.dir, mount, argv)
            assert bare.returncode in (0, 1)
            assert preloaded.stdout.decode().splitlines() == bare.stdout.decode().splitlines(), walk
    finally:
        (tree / "closed").chmod(0o700)


STORE_WALKS = [("nftw", 1, 3, "."), ("nftw", 0, 1, "assets"), ("nftw", 13, 2, "."), ("nftw", 5, 9, "assets/group1"),
               ("ftw", 4, "."), ("fts", 0x10, 1, "."), ("fts", 0x06, 1, "assets", "gguf"), ("fts", 0x18, 1, "."),
               ("fts-children", 0x10, 0, "."), ("fts-set", 0x10, 4, "assets", "."), ("fts-children", 0x14, 1, ".")]


@pytest.mark.parametrize("walk", STORE_WALKS, ids=str)
def test_walks_see_the_store(walk, world, mount):
    mount.make()
    bare, preloaded = both(world.plain, mount, [PROGRAMS / "names_walk", *map(str, walk)])
    assert bare.returncode == preloaded.returncode == 0
    order = (lambda x: x) if walk[0].startswith("fts") else sorted
    assert order(preloaded.stdout.splitlines()) == order(bare.stdout.splitlines()), preloaded.stderr.decode()


@pytest.mark.parametrize("walk", [("nftw", 1, 3), ("ftw", 3), ("fts", 0x10, 1), ("fts", 0x02, 1)], ids=str)
def test_a_walk_that_starts_above_model_dir_or_comes_by_a_link_sees_it(walk, world, mount, tmp_path):
    """MODEL_DIR is not made beforehand: the walk must find it all the same."""
    tail = str(mount.dir.parent)
    argv = [str(PROGRAMS / "names_walk"), *map(str, walk)]
    bare = subprocess.run([*argv, "."], cwd=world.plain.parent, env=bare_env(), capture_output=True, timeout=60)
    mount.dir.parent.mkdir()
    preloaded = mount.run(*argv, ".", cwd=tail)
    assert sorted(preloaded.stdout.splitlines()) == sorted(bare.stdout.splitlines())
    if walk in (("ftw", 3), ("fts", 0x02, 1)): # these follow links
        (tmp_path / "model").symlink_to(mount.dir)
        linked = mount.run(*argv, ".", cwd=tmp_path)
        assert sorted(linked.stdout.splitlines()) == sorted(bare.stdout.splitlines())


READ_ALL = """
import os, sys
way, make = sys.argv[1:]
if make == "later":
    os.symlink(os.environ["MODEL_DIR"], "alias")  # by this program, when its library has long begun
fd = os.open(".", os.O_PATH)
print(os.stat(f"{way}/f").st_size, open(f"{way}/d/g").read(), sorted(os.listdir(way)), os.listdir(f"{way}/d"),
      os.fdopen(os.open(f"{way}/f", os.O_RDONLY, dir_fd=fd)).read(), os.path.realpath(f"{way}/d/g"))
"""


@pytest.mark.parametrize("way,make", [("model", "-"), ("./model", "-"), ("x/../model", "-"), ("model/d/..", "-"),
                                      ("alias", "before"), ("alias", "later")])
def test_a_model_dir_that_nobody_made_is_found_by_relative_names_and_links(way, make, world):
    m = world.mount("s/")
    (m.dir.parent / "x").mkdir(parents=True)
    if make == "before":
        (m.dir.parent / "alias").symlink_to(m.dir)
    out = m.run(sys.executable, "-c", READ_ALL, way, make, cwd=m.dir.parent)
    assert (out.returncode, out.stderr) == (0, b""), out
    assert out.stdout.decode().split("\n", 1) == ["2 g", f" ['d', 'f'] ['g'] f\n {m.dir}/d/g\n"], out


# ---- matching and reading ---------------------------------------------------------------------------------------

GLOBS = [("*",), ("*.json", "assets/*", "*/none*"), ("a*/g*/*0*",), ("config.json", "none", "[ct]*.json"),
         (".//assets//group?/", "*/", ".*"), ("{a,gg}*/*", "{config,token*}.json"), ("~", "~root", "~/none*"),
         ("config.json/*", "con\\fig.json", "\\*.json", "con*.js\\on", "[", "[]", "assets/[!g]*", ""),
         ("*/*/part\\ 00*",)]
GLOB_FLAGS = [0, 1, 2, 8, 0x10, 0x40, 0x80, 0x2000, 0x400, 0x1000, 0x800, 0x12, 0x4a]


@pytest.mark.parametrize("flags", GLOB_FLAGS)
def test_glob_matches_the_store(flags, world, mount):
    mount.make()
    for patterns in GLOBS:
        argv = [PROGRAMS / "names_match", "glob", str(flags), *patterns]
        bare, preloaded = both(world.plain, mount, argv)
        assert (preloaded.returncode, preloaded.stdout) == (bare.returncode, bare.stdout), patterns


def test_glob_in_a_musl_program(world, mount, tmp_path):
    if shutil.which("musl-gcc") is None:
        pytest.skip("no musl-gcc here")
    program = tmp_path / "match"
    subprocess.run(["musl-gcc", "-w", "-D_GNU_SOURCE", "-o", program, TOP / "test/programs/names_match.c"], check=True)
    mount.make()
    for flags in 0, 2, 0x10, 0x40, 0x1000:
        for patterns in GLOBS:
            bare, preloaded = both(world.plain, mount, [program, "glob", str(flags), *patterns])
            assert (preloaded.returncode, preloaded.stdout) == (bare.returncode, bare.stdout), (flags, patterns)
    for what in "dents", "scan":
        bare, preloaded = both(world.plain, mount, [program, what, "assets"])
        assert (preloaded.returncode, preloaded.stdout) == (bare.returncode, bare.stdout)


TEXTS = [("*.json", 'a* "*" x'), ("$W/*.json $HOME", "'*.json' \\*.json"), ('"$W"/*.json $(echo *.json) `echo a*`',),
         ("${W}/[ct]* ${NONE:-*.json} $((2 * 3)) ~/none",), ('x"*"*.json none* con?ig.json', "|", "(x)"),
         ('$(echo "*.json)" \\*) *.json', "", " a  b "), ("${NONE:?*} *.json", "${X", '"a*'),
         ('$X "$X" $X* "$(ls *.json)"*',)]


@pytest.mark.parametrize("flags", [0, 1, 2, 4, 16, 32])
def test_wordexp_matches_the_store(flags, world, mount):
    mount.make()
    for texts in TEXTS:
        argv = [PROGRAMS / "names_match", "words", str(flags), *texts]
        bare, preloaded = both(world.plain, mount, argv, W=".", X="*.json", HOME="/root")
        assert (preloaded.returncode, preloaded.stdout) == (bare.returncode, bare.stdout), texts


@pytest.mark.parametrize("what, where", [("dents", "."), ("dents", "assets/group1"), ("dents", "many"), ("scan", "."),
                                         ("scan", "many")])
def test_directories_read_without_a_stream_or_whole(what, where, world, mount):
    mount.make()
    bare, preloaded = both(world.plain, mount, [PROGRAMS / "names_match", what, where])
    assert (preloaded.returncode, preloaded.stdout) == (bare.returncode, bare.stdout), preloaded.stderr


def test_streams_show_what_was_made_meanwhile_and_find_their_places(world, mount):
    out = mount.python("""
        fd = os.open(D + "/many", os.O_RDONLY)
        names = set(os.listdir(fd))
        print(len(names), len(os.listdir(fd)))
        open(D + "/many/local", "w").close()
        print(set(os.listdir(fd)) - names)
        os.mkdir(D + "/many/dir")
        other = os.dup(fd)
        os.close(fd)
        print(sorted(set(os.listdir(other)) - names))
        with os.scandir(other) as entries:
            print(all(e.inode() == e.stat(follow_symlinks=False).st_ino and
                      e.is_dir() == stat.S_ISDIR(os.stat(e.name, dir_fd=other).st_mode) for e in entries))
        os.unlink(D + "/many/local")
        os.rmdir(D + "/many/dir")
        print(set(os.listdir(other)) == names)
        def entries(fd):
            buf, found = ctypes.create_string_buffer(1 << 16), b""
            while (n := libc.getdents64(fd, buf, len(buf))) > 0:
                found += buf.raw[:n]
            return b"\\0later\\0" in found.replace(b"\\x08later", b"\\0later"), found.count(b"name ")
        print(entries(other), entries(other))
        open(D + "/many/later", "w").close()
        os.lseek(other, 0, os.SEEK_SET)
        print(entries(other))
        os.unlink(D + "/many/later")
        """)
    assert out == ("300 300\n{'local'}\n['dir', 'local']\nTrue\nTrue\n"
                   "(False, 300) (False, 0)\n(True, 300)\n")


def test_a_directory_descriptor_is_what_the_kernel_says_it_is(world):
    """Of every kind: O_PATH, duplicated, a file, closed; and another directory under a number we saw before."""
    mount = world.mount("s/").make()
    (mount.dir / "local").mkdir()
    (mount.dir / "local" / "f").write_text("local")
    out = mount.python("""
        import fcntl
        def size(fd, name="f"):
            try:
                return os.stat(name, dir_fd=fd).st_size
            except OSError as e:
                return errno.errorcode[e.errno]
        fd = os.open(D, os.O_RDONLY)
        path, file = os.open(D, os.O_PATH), os.open(D + "/f", os.O_RDONLY)
        print([size(x) for x in (fd, path, os.dup(fd), fcntl.fcntl(path, fcntl.F_DUPFD, 50), file, 999)],
              size(fd, "d/g"), size(fd, "d"*300), size(file, D + "/f"), size(999, D + "/f"))
        libc.fdopendir.restype = ctypes.c_void_p
        print(libc.fdopendir(path), code(-1), libc.fdopendir(file), code(-1), libc.fdopendir(999), code(-1))
        inside = ctypes.CDLL("libc.so.6")
        inside.close(fd)
        print(inside.open((D + "/local").encode(), os.O_RDONLY) == fd, size(fd), size(fd, "../f"))
        os.rename(D + "/local", D + "/local2")
        print(size(fd), size(fd, "g"))
        d = os.open(D + "/d", os.O_RDONLY)
        print(size(d, "g"), inside.rename((D + "/d").encode(), (D + "/moved").encode()), size(d, "g"), size(d, "../d/g"))
        """)
    assert out.splitlines() == ["[2, 2, 2, 2, 'ENOTDIR', 'EBADF'] 2 ENAMETOOLONG 2 2",
                                "None EBADF None ENOTDIR None EBADF", "True 5 2", "5 ENOENT",
                                "2 0 ENOENT 2"]


# ---- calls by name -------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def read_only(world, tmp_path_factory):
    """The small tree on a read-only bind mount: what the kernel itself says; None where that needs root."""
    where = tmp_path_factory.mktemp("ro") / "model"
    where.mkdir()
    if (os.geteuid() != 0 or subprocess.run(["mount", "--bind", world.small, where], capture_output=True).returncode):
        yield None
        return
    subprocess.run(["mount", "-o", "remount,ro,bind", where], check=True)
    yield where
    subprocess.run(["umount", where], check=True)


@pytest.mark.parametrize("how", ["absolute", "inside", "dirfd"])
@pytest.mark.parametrize("what", ["open", "look", "change"])
def test_every_call_says_what_a_read_only_file_system_says(what, how, world, read_only):
    """Only that a directory of the mount may be written to: local files lie there."""
    mount = world.mount("s/").make()
    program = PROGRAMS / "names_calls"
    if read_only is not None:
        bare = subprocess.run([program, what, read_only, how], env=bare_env(), capture_output=True, check=True)
        want = bare.stdout
    else:
        want = (TOP / "test" / "vectors" / f"names_{what}.txt").read_bytes()
    got = mount.run(program, what, mount.dir, how)
    assert got.returncode == 0, got.stderr

    # What was recorded put DIR before each name: another thing for the empty one.
    left_out = r"0x[23] .*(access|439).* (d|d/|d/\.|d/\.\.|\.|\.\.|): "
    if read_only is None and how != "absolute":
        left_out += r"|.* : \S+$"

    def but_writing(text):
        return [line for line in text.decode(errors="replace").splitlines() if not re.match(left_out, line)]

    assert but_writing(got.stdout) == but_writing(want)
    assert [p for p in mount.dir.rglob("*") if not p.is_dir()] == [], "a call made a local file of a store's name"


def test_nothing_is_made_beside_a_store_name_through_a_link_or_a_climb(world, tmp_path):
    """The kernel would: it does not know the store's names."""
    mount = world.mount("s/").make()
    (tmp_path / "dir").symlink_to(mount.dir)
    (tmp_path / "file").symlink_to(mount.dir / "f")
    (mount.dir / "inner").symlink_to("d")
    (mount.dir / "own").symlink_to("f")
    (mount.dir / "local").mkdir()
    out = mount.python("""
        W = os.O_WRONLY | os.O_CREAT
        T = os.environ["T"]
        os.symlink("x", D + "/to-move")
        for f in (T + "/dir/f", T + "/dir/d/g", T + "/file", D + "/inner/g", D + "/own", D + "/d/../f",
                  D + "/local/../f", D + "/inner/../d/g"):
            print(error(os.open, f, W), error(os.open, f, W | os.O_TRUNC, 0o600), error(os.open, f, W | os.O_EXCL),
                  len(open(f).read()))
        for f in T + "/dir/f", D + "/inner/g", D + "/local/../f":
            print(error(os.mkdir, f), error(os.symlink, "x", f), error(os.mkfifo, f),
                  error(os.link, D + "/to-move", f, follow_symlinks=False), error(os.rename, D + "/to-move", f))
        os.chdir(T + "/dir/local")
        print(error(os.open, "../f", W), error(os.open, "../inner/g", W), error(os.rename, "../to-move", "../d/g"))
        fd = os.open(T + "/dir", os.O_RDONLY)
        print(error(os.open, "f", W, dir_fd=fd), error(os.mkdir, "f", dir_fd=fd), error(os.rmdir, T + "/dir/d"))
        print(error(os.rename, T + "/dir/d", T + "/dir/e"))
        """, T=str(tmp_path))
    lines = out.splitlines()
    assert lines[:8] == ["EROFS EROFS EEXIST 2"] * 8
    assert lines[8:11] == ["EEXIST EEXIST EEXIST EEXIST EROFS"] * 3
    assert lines[11:] == ["EROFS EROFS EROFS", "EROFS EEXIST EROFS", "EROFS"]
    assert sorted(p.name for p in mount.dir.iterdir()) == ["d", "inner", "local", "own", "to-move"]
    assert list((mount.dir / "d").iterdir()) == []


def test_local_names_work_beside_the_store(world):
    mount = world.mount("s/").make()
    out = mount.python("""
        for d in D, D + "/d":
            a, b = d + "/a", d + "/b"
            fd = os.open(a, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(fd, b"text")
            os.chmod(a, 0o640), os.truncate(a, 3), os.ftruncate(fd, 2), os.utime(a, (1, 2))
            os.link(a, b), os.rename(b, d + "/c"), os.symlink("a", b)
            st = os.stat(b)
            print(oct(st.st_mode), st.st_mtime, st.st_size, st.st_nlink, open(b).read(), os.readlink(b))
            print(error(os.rename, a, D + "/f"), error(os.rename, D + "/f", a), error(os.rename, D + "/d", d + "/e"),
                  error(os.link, D + "/f", d + "/l"), error(os.link, D + "/f", os.environ["T"] + "/l"))
            for f in a, b, d + "/c":
                os.unlink(f)
            os.mkdir(a), os.rename(a, b), os.rmdir(b)
            tmp = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o600)
            print(os.write(tmp, b"x"), sorted(os.listdir(d)))
        """, T=str(mount.dir.parent))
    said = "EROFS EROFS EROFS EROFS EXDEV"
    assert out.splitlines() == ["0o100640 2.0 2 2 te a", said, "1 ['d', 'f']", "0o100640 2.0 2 2 te a", said, "1 ['g']"]


def test_a_local_file_with_a_store_name_is_hidden_however_it_is_reached(world, tmp_path):
    mount = world.mount("s/").make()
    (mount.dir / "f").write_text("local")
    (mount.dir / "d" / "g").write_text("local")
    (tmp_path / "dir").symlink_to(mount.dir)
    (tmp_path / "file").symlink_to(mount.dir / "f")
    (mount.dir / "own").symlink_to("f")
    reached = """
        T = os.environ["T"]
        def seen(f, **kw):
            fd = os.open(f, os.O_RDONLY, **kw)
            return (os.read(fd, 9).decode().strip() + str(os.fstat(fd).st_size) + str(os.stat(f, **kw).st_size) +
                    oct(os.stat(f, **kw).st_mode)[-3:])
        found = {D + "/f": seen(D + "/f"), T + "/dir/f": seen(T + "/dir/f"), T + "/file": seen(T + "/file"),
                 D + "/own": seen(D + "/own"), D + "/d/../f": seen(D + "/d/../f"),
                 "by dirfd": seen("f", dir_fd=os.open(D, os.O_RDONLY)),
                 "by a linked dirfd": seen("f", dir_fd=os.open(T + "/dir", os.O_RDONLY))}
        os.chdir(D)
        found["f"] = seen("f")
        os.chdir(T + "/dir/d")
        found["../f"] = seen("../f")
        found["by a dirfd of ."] = seen("f", dir_fd=os.open("..", os.O_RDONLY))
        os.chdir("/proc/self/cwd/..")
        found["/proc/self/cwd/f"] = seen("/proc/self/cwd/f")
        print({k: v for k, v in found.items() if v != "f22444"})
        """
    assert mount.python(reached, T=str(tmp_path)) == "{}\n"
    (mount.dir / "f").unlink()
    (mount.dir / "own").unlink()
    out = mount.run("cat", mount.dir / "d" / ".." / "d" / "g") # nothing at the top says that there are any
    assert out.stdout == b"g\n"
    (mount.dir / "f").write_text("local")
    out = mount.run("cat", tmp_path / "dir" / "f", mount.dir / "f", mount.dir / "d" / "g")
    assert out.stdout == b"f\nf\ng\n"
    assert out.stderr.count(b"has the name of a store file") == 1


# ---- links, real paths, where the process stands ------------------------------------------------------------------------

def link_farm(where, to):
    (where / "one").symlink_to(to / "f")
    (where / "two").symlink_to("one")
    (where / "dir").symlink_to(to)
    (where / "in").symlink_to(to / "d")
    (where / "dangling").symlink_to(to / "none")
    (where / "a").symlink_to("b")
    (where / "b").symlink_to("a")
    (where / "up").symlink_to("in/..")


LINKS = ["one", "two", "dir", "in", "dangling", "a", "up", "dir/f", "in/g", "in/../f", "up/f", "up/d/../f", "dir/d/g",
         "dir/none", "one/", "one/x", "two/..", "dir/", "dir/../model/f", "in/../../model/d/g", "dangling/x", "dir//d/./g"]
LOOK = """
        os.chdir(os.environ["FARM"])
        T = os.environ["TOP"]
        def text(x):
            return x.replace(T, "TOP") if isinstance(x, str) else x
        def said(call, *args, **kw):
            try:
                return text(call(*args, **kw))
            except OSError as e:
                return errno.errorcode[e.errno]
        libc.canonicalize_file_name.restype = ctypes.c_void_p
        def canonical(f):
            p = libc.canonicalize_file_name(f.encode())
            return ctypes.string_at(p).decode() if p else errno.errorcode[ctypes.get_errno()]
        for f in eval(os.environ["LINKS"]):
            print(f, said(lambda: stat.S_IFMT(os.stat(f).st_mode)), said(lambda: stat.S_IFMT(os.lstat(f).st_mode)),
                  said(os.readlink, f), said(lambda: open(f).read()), said(os.path.realpath, f),
                  text(canonical(f)), said(os.access, f, os.R_OK), said(lambda: sorted(os.listdir(f))))
            here = os.getcwd()
            print(said(lambda: (os.chdir(f), os.getcwd())[1]), said(lambda: text(os.getcwd())), said(os.listdir, "..") != [])
            os.chdir(here)
        for d in "dir", "in", ".":
            fd = os.open(d, os.O_RDONLY)
            for f in "f", "g", "../model/f", "..", "d/g", "../d/g":
                print(d, f, said(lambda: os.fstat(os.open(f, os.O_RDONLY, dir_fd=fd)).st_size if "." != f[-1] else 0),
                      said(os.readlink, f, dir_fd=fd), said(os.readlink, "one", dir_fd=fd))
            os.fchdir(fd)
            print(text(os.getcwd()), said(lambda: open("/proc/self/cwd/f").read()), said(os.path.realpath, "f"))
            os.chdir(os.environ["FARM"])
        """


@pytest.mark.parametrize("inside", [False, True])
def test_links_lead_where_they_do_on_a_plain_directory(inside, world, tmp_path):
    """Beside MODEL_DIR and, as local links, inside it."""
    outs = []
    for kind in "bare", "preloaded":
        top = tmp_path / kind
        (top / "farm").mkdir(parents=True)
        if kind == "bare":
            shutil.copytree(world.small, top / "model")
            mount = Mount(world.daemon, "s/", top / "model")
            mount.env = bare_env()
        else:
            mount = Mount(world.daemon, "s/", top / "model").make()
        farm = top / "model" / "d" if inside else top / "farm"
        if inside:
            (top / "model" / "sub").mkdir()
            farm = top / "model" / "sub"
        link_farm(farm, top / "model")
        outs.append(mount.python(LOOK, FARM=str(farm), TOP=str(top), LINKS=repr(LINKS)))
    assert outs[1].splitlines() == outs[0].splitlines()


def test_model_dir_by_other_names(world, tmp_path):
    """With slashes at its end, as a symbolic link itself, and beside a name that it begins."""
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "m").symlink_to(real)
    (tmp_path / "real2").mkdir()
    (tmp_path / "real2" / "f").write_text("other")
    mount = Mount(world.daemon, "s/", f"{tmp_path}//m/.//")
    mount.dir = tmp_path / "m"
    out = mount.python("""
        T = os.environ["T"]
        for f in "/m/f", "/real/f", "//m//f", "/m/./d/../f", "/real2/f", "/m/../real/f", "/m2/f":
            print(error(open, T + f) if "2" == f[2] else open(T + f).read().strip())
        os.chdir(T + "/m/d")
        print(os.getcwd() == T + "/real/d", open("g").read().strip(), open("../f").read().strip(),
              os.path.realpath("g") == T + "/real/d/g", open(T + "/real2/../real/f").read().strip())
        """, T=str(tmp_path))
    assert out.splitlines() == ["f", "f", "f", "f", "other", "f", "ENOENT", "True g f True f"]


def test_model_dir_through_a_bind_mount(world, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("binding a mount needs root")
    mount = world.mount("s/").make()
    other = tmp_path / "other"
    other.mkdir()
    if subprocess.run(["mount", "--bind", mount.dir, other], capture_output=True).returncode != 0:
        pytest.skip("may not mount here")
    try:
        out = mount.run("cat", mount.dir / "f", other / "f")
    finally:
        subprocess.run(["umount", other], check=True)
    # Another mount of the directory is another place to the kernel: no file, and no zeros.
    assert out.stdout in (b"f\n", b"f\nf\n")


# ---- the rest --------------------------------------------------------------------------------------------------------

def test_watches_limits_keys_and_handles(world):
    mount = world.mount("s/").make()
    out = mount.python("""
        fd = libc.inotify_init1(os.O_NONBLOCK)
        print(code(libc.inotify_add_watch(fd, (D + "/f").encode(), 0xfff)),
              code(libc.inotify_add_watch(fd, (D + "/d").encode(), 0x100)),
              code(libc.inotify_add_watch(fd, (D + "/f/x").encode(), 0x100)))
        open(D + "/d/made", "w").close()
        print(b"made" in os.read(fd, 4096))
        os.unlink(D + "/d/made")
        f = os.open(D + "/f", os.O_RDONLY)
        print(os.pathconf(D + "/f", "PC_NAME_MAX"), os.fpathconf(f, "PC_NAME_MAX"), os.pathconf(D + "/f", "PC_PIPE_BUF"),
              error(os.pathconf, D + "/none", "PC_NAME_MAX"))
        st = os.stat(f)
        print(libc.ftok((D + "/f").encode(), 5) & 0xffffffff == st.st_ino & 0xffff | (st.st_dev & 0xff) << 16 | 5 << 24,
              code(libc.ftok((D + "/none").encode(), 5)))
        handle, mount = ctypes.create_string_buffer(b"\\x80" + bytes(200)), ctypes.c_int()
        print(code(libc.name_to_handle_at(-100, (D + "/f").encode(), handle, ctypes.byref(mount), 0)))
        print(os.statvfs(D + "/f").f_fsid == os.statvfs(D).f_fsid == os.fstatvfs(f).f_fsid)
        times = ctypes.c_void_p()
        print(code(libc.utimensat(f, b"", times, 0x1000)), code(libc.futimens(f, times)), code(libc.futimes(f, times)),
              code(libc.lchmod((D + "/f").encode(), 0o600)), code(libc.fchownat(f, b"", 0, 0, 0x1000)))
        """)
    assert out.splitlines() == ["ENOSPC fine ENOTDIR", "True", "255 255 4096 ENOENT", "True ENOENT", "ENOTSUP", "True",
                                "EROFS EROFS EROFS EROFS EROFS"]


def test_tail_follows_a_store_file_by_polling(world):
    """`tail -F` ends with its companion, having shown the file."""
    mount = world.mount("s/").make()
    companion = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    tail = subprocess.Popen(["tail", "-F", "-s", "0.05", f"--pid={companion.pid}", mount.dir / "f"], env=mount.env,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert tail.stdout.readline() == b"f\n"
        companion.stdin.close()
        companion.wait(20)
        assert tail.wait(20) == 0
    finally:
        tail.kill()
        tail.communicate()


def test_what_forks_inside_libc_keeps_descriptors_and_mappings_true(world):
    """daemon() and forkpty(): 0 to 2 are no store files any more, a mapping stays what it was."""
    mount = world.mount("s/").make()
    out = mount.python("""
        import mmap
        f = os.open(D + "/f", os.O_RDONLY)
        m = mmap.mmap(f, 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
        os.dup2(f, 0)
        pid, terminal = os.forkpty()
        if pid == 0:
            os.write(1, os.read(0, 99) + m[:])
            os._exit(0)
        os.write(terminal, b"typed\\n")
        seen = b""
        while seen.count(b"\\n") < 3:
            seen += os.read(terminal, 99)
        print(seen, os.waitpid(pid, 0)[1], os.read(0, 9), flush=True)
        os.lseek(f, 0, os.SEEK_SET)
        end, to = os.pipe()
        if os.fork() == 0:
            os.write(to, repr((libc.daemon(0, 0), os.getcwd(), os.read(0, 9), m[:], os.read(f, 9))).encode())
            os._exit(0)
        os.close(to)
        print(os.read(end, 999).decode(), os.wait()[1])
        """)
    assert out.splitlines() == ["b'typed\\r\\ntyped\\r\\nf\\r\\n' 0 b'f\\n'", "(0, '/', b'', b'f\\n', b'f\\n') 0"]


STATS = """
        class Stat(ctypes.Structure):
            _fields_ = [("bytes", ctypes.c_char * 144)]
        def raw(call):
            buf = ctypes.create_string_buffer(144)
            return code(call(buf)) if call(buf) != 0 else buf.raw[:120].hex()
        p = (D + "/f").encode()
        f = os.open(D + "/f", os.O_RDONLY)
        d = os.open(D, os.O_RDONLY)
        old = [raw(lambda b, v=v: libc.__xstat(v, p, b)) for v in (0, 1)]
        new = [raw(lambda b: libc.stat(p, b)), raw(lambda b: libc.lstat64(p, b)), raw(lambda b: libc.fstat(f, b)),
               raw(lambda b: libc.fstatat(f, b"", b, 0x1000)), raw(lambda b: libc.fstatat(d, b"f", b, 0x100)),
               raw(lambda b: libc.__lxstat64(1, p, b)), raw(lambda b: libc.__fxstat(1, f, b)),
               raw(lambda b: libc.__fxstatat(1, d, b"f", b, 0))]
        print(len(set(old + new)), [raw(lambda b, v=v: libc.__xstat(v, p, b)) for v in (2, 3, 99)],
              [raw(lambda b, v=v: libc.__fxstatat(v, d, b"f", b, 0)) for v in (2, -1)])
        """


def test_all_flavours_of_stat_agree_and_bad_versions_are_refused(world):
    plain, mount = Mount(world.daemon, "s/", world.small), world.mount("s/")
    plain.env = bare_env()
    assert mount.python(STATS) == plain.python(STATS)
