"""Runs the rows of test/programs/table on a plain directory and on mounts, and keeps what each did.

A row is a name and a bash script that reads $D, works in an empty folder and writes what it found
(see test/programs/README.md).  What must differ is taken out here and nowhere else:

- The directory's and the work folder's own paths: both have the same length everywhere, so that a
  column stays a column, and are replaced by one word.
- The time of a file that a script made itself: "now".  Times of the directory's files are compared,
  also where a program carried them over to its copies.

Rows print no inode, device, access time and size of a directory: those are the file system's own.
"""
import collections
import difflib
import hashlib
import os
import pathlib
import signal
import stat
import subprocess
import sys

from daemon import BUILD, TOP, Daemon

TABLE = TOP / "test" / "programs" / "table"
PROGRAMS = TOP / "test" / "programs"

Row = collections.namedtuple("Row", "name script want says")
Outcome = collections.namedtuple("Outcome", "code out err files strays")


def read_table(path):
    """The rows of one file.  "#: name", the script, then what no plain directory gives: "#= line" of
    standard output, "#! line" of standard error, which must come beside what a plain directory gives.
    """
    rows = []
    for line in path.read_text().splitlines():
        if line.startswith("#: "):
            rows.append((line[3:], [], [], []))
        elif line[:2] in ("#=", "#!"):
            rows[-1][2 if line[1] == "=" else 3].append(line[3:] + "\n")
        elif rows:
            rows[-1][1].append(line)
    return [Row(name, "\n".join(script), "".join(want) or None, tuple(line.encode() for line in says))
            for name, script, want, says in rows]


def all_rows():
    return {f"{path.stem}/{row.name}": row for path in sorted(TABLE.glob("*.sh")) for row in read_table(path)}


class Place:
    """A directory to run rows on: a plain one, or that of a daemon."""

    def __init__(self, base, name, daemon=None):
        assert len(name) == 5, "paths of one length: columns depend on it"
        self.model = base / name / "model"
        self.works = base / f"work-{name}"
        self.is_mount = daemon is not None
        self.works.mkdir()
        (base / "home").mkdir(exist_ok=True)
        (base / "temp").mkdir(exist_ok=True)
        env = daemon.preload() if daemon else dict(os.environ)
        hidden = ["BASH_ENV", "GIT_DIR", "PYTHONPATH", "CDPATH"]
        if daemon is None:
            hidden += ["LD_PRELOAD", "ENABLE_CONNECTOR", "MODEL_DIR"]
        env = {k: v for k, v in env.items() if k not in hidden}
        # The distribution's own programs: not what a developer has put before them.
        self.env = env | {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(base / "home"), "TMPDIR": str(base / "temp"),
            "LC_ALL": "C.UTF-8", "TZ": "UTC", "COLUMNS": "80", "TERM": "dumb", "PYTHONDONTWRITEBYTECODE": "1",
            "D": str(self.model), "P": str(PROGRAMS), "X": str(base / "built"), "PY": sys.executable,
            "C": str(BUILD / "test" / "programs"),
            "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "JAVA": "java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        }

    def run(self, row, since):
        """since: a moment before the first row; what has a later time was made by a row."""
        work = self.works / f"{len(os.listdir(self.works)):04d}"
        work.mkdir()
        bash = subprocess.Popen(["bash", "-c", row.script], cwd=work, env=self.env | {"W": str(work)}, bufsize=0,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                start_new_session=True)
        try:
            out, err = bash.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(bash.pid, signal.SIGKILL)
            out, err = bash.communicate()
            err += b"\nstill running after 60 s\n"
        return Outcome(bash.returncode, self.same(out, work), self.same(err, work), self.made(work, since),
                       self.strays())

    def same(self, text, work):
        return text.replace(os.fsencode(self.model), b"DIR").replace(os.fsencode(work), b"WORK")

    def made(self, work, since):
        """{name: kind, mode, size, time, content} of what a script left in its folder."""
        found = {}
        for path in sorted(p for p in work.rglob("*")):
            st = path.lstat()
            time = st.st_mtime if st.st_mtime < since else "now"
            if path.is_symlink():
                content = self.same(os.fsencode(os.readlink(path)), work)
            elif path.is_file():
                content = hashlib.sha256(self.same(path.read_bytes(), work)).hexdigest()
            else:
                content = ""
            size = 0 if stat.S_ISDIR(st.st_mode) else st.st_size
            found[str(path.relative_to(work))] = (oct(st.st_mode), size, time, content)
        return found

    def strays(self):
        """A row leaves nothing behind in the directory; below a mount are local directories, and no files."""
        if not self.is_mount:
            return []
        return sorted(str(p.relative_to(self.model)) for p in self.model.rglob("*") if not p.is_dir())


def differences(row, want, got):
    """What a reader needs to see of two outcomes that should be one; nothing when they are."""
    err = got.err.splitlines(True)
    if sorted(line for line in err if line in row.says) == sorted(row.says):
        got = got._replace(err=b"".join(line for line in err if line not in row.says))

    def lines(outcome):
        text = f"exit code {outcome.code}\n".encode() + outcome.out
        text += b"".join(b"stderr: " + line for line in outcome.err.splitlines(True))
        text += "".join(f"file {name!r}: {what}\n" for name, what in outcome.files.items()).encode()
        return text.decode(errors="backslashreplace").splitlines() + [f"left behind: {name}" for name in outcome.strays]
    return "\n".join(difflib.unified_diff(lines(want), lines(got), "plain directory", "mount", lineterm="", n=1))


def compile_all(base):
    """What the rows run from $X: programs kept here as sources."""
    out = base / "built"
    out.mkdir()
    commands = [["rustc", "-O", "-o", out / "rust_files", PROGRAMS / "rust" / "files.rs"],
                ["g++", "-std=c++17", "-O2", "-o", out / "cpp_files", PROGRAMS / "cpp" / "files.cpp"],
                ["javac", "-d", out, *sorted((PROGRAMS / "java").glob("*.java"))]]
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"} | {"PATH": "/usr/bin:/bin"}
    running = [subprocess.Popen([str(a) for a in argv], env=env, cwd=out) for argv in commands]
    codes = [process.wait() for process in running]
    assert codes == [0] * len(codes), f"{commands} ended with {codes}"


def mount(base, name, store, key, size, chunk="1MiB"):
    """A running daemon whose MODEL_DIR has the length that Place wants."""
    (base / name).mkdir()
    conf = {"cache": {"size": size, "chunkSize": chunk}}
    return Daemon(store, conf, prefix="m/", key=key, dir=base / name).start()
