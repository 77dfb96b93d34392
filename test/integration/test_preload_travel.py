"""Store descriptors that leave the process: over exec, spawn and sockets, into libc and into other numbers."""
import hashlib
import os
import pathlib
import random
import shutil
import subprocess
import sys
import textwrap

import pytest

from conftest import KEY
from daemon import Daemon
from store import Store

MiB = 1 << 20
LINES = b"".join(b"line %d of a file in the store\n" % i for i in range(1, 40_001))
BLOB = random.Random(5).randbytes(3 * MiB + 12345)
BUSYBOX = shutil.which("busybox")


@pytest.fixture(scope="module")
def shared():
    """One store and one daemon for all that only reads."""
    with Store(keys=[KEY], buckets=["models"]) as store:
        store.put("models/m/lines.txt", LINES)
        store.put("models/m/blob.bin", BLOB)
        store.put("models/m/sub/inner.txt", b"inner\n")
        store.put("models/m/empty", b"")
        store.put("models/m/run.sh", b"#!/bin/sh\necho ran\n")
        with Daemon(store, {"cache": {"size": "64MiB"}}, prefix="m/", key=KEY) as daemon:
            yield daemon


def sh(daemon, script, env=None, code=0):
    out = daemon.run("bash", "-c", script, env={"D": str(daemon.model_dir), **(env or {})})
    assert out.returncode == code, (out.stdout, out.stderr)
    return out.stdout


def python(daemon, code, **kw):
    out = daemon.run(sys.executable, "-c", textwrap.dedent(code), env={"D": str(daemon.model_dir)}, **kw)
    assert out.returncode == 0, out.stderr.decode()
    return out.stdout.decode()


def digest(data):
    return hashlib.sha256(data).hexdigest()


# ---- exec ----------------------------------------------------------------------------------

@pytest.mark.parametrize("command", [
    "exec busybox sha256sum - < $D/blob.bin",
    "busybox sha256sum < $D/blob.bin",
    "busybox cat < $D/blob.bin | sha256sum",
    "exec 7<$D/blob.bin; busybox sh -c 'sha256sum <&7'",
    "env -i PATH=$PATH cat < $D/blob.bin | sha256sum",
    "env -i busybox sha256sum < $D/blob.bin",
    "env -u LD_PRELOAD cat < $D/blob.bin | sha256sum",
    "env -u LD_PRELOAD -u ENABLE_CONNECTOR sha256sum < $D/blob.bin",
    "python3 -c 'import os; os.execvp(\"busybox\", [\"busybox\", \"sha256sum\"])' < $D/blob.bin",
    "perl -e 'exec \"busybox\", \"sha256sum\"' < $D/blob.bin",
])
def test_a_program_without_the_library_reads_a_copy(command, shared):
    assert sh(shared, command).split()[0].decode() == digest(BLOB)


def test_the_copy_goes_on_where_the_reader_was_and_ends_where_it_ends(shared):
    out = sh(shared, "exec 3<$D/lines.txt; read a <&3; read b <&3; echo \"$a\"; exec busybox tail -n +1 <&3")
    assert out == LINES.split(b"\n")[0] + b"\n" + b"".join(x + b"\n" for x in LINES.split(b"\n")[2:-1])


def test_an_empty_file_and_two_files_at_once(shared):
    assert sh(shared, "busybox wc -c < $D/empty") == b"0\n"
    out = sh(shared, "busybox sh -c 'sha256sum; sha256sum <&5' < $D/blob.bin 5< $D/lines.txt").split()
    assert [out[0].decode(), out[2].decode()] == [digest(BLOB), digest(LINES)]


def test_the_copy_cannot_be_written(shared):
    out = sh(shared, "busybox sh -c 'echo no >&3; echo $?; echo no > /proc/self/fd/3; echo $?; "
                     "dd if=/dev/zero of=/proc/self/fd/3 count=1 conv=notrunc; echo $?; cat <&3' 3< $D/sub/inner.txt 2>/dev/null")
    assert out == b"1\n1\n1\ninner\n"


def test_scripts_are_judged_by_their_interpreters(shared, tmp_path):
    static, dynamic = tmp_path / "static.sh", tmp_path / "dynamic.sh"
    static.write_text(f"#!{BUSYBOX} sh\nreadlink /proc/self/fd/0\ncat\n")
    dynamic.write_text("#!/bin/sh\nreadlink /proc/self/fd/0\ncat\n")
    second = tmp_path / "second.sh"
    second.write_text(f"#!{static}\n")
    for path in static, dynamic, second:
        path.chmod(0o755)
    for path in static, second:
        assert sh(shared, f"{path} < $D/sub/inner.txt") == b"/memfd:ossc-copy (deleted)\ninner\n"
    kept = sh(shared, f"{dynamic} < $D/sub/inner.txt")
    assert kept.startswith(b"/memfd:ossc:") and kept.endswith(b"\ninner\n")


def test_a_program_that_loads_the_library_keeps_the_placeholder_and_the_offset(shared):
    out = sh(shared, "exec 3<$D/lines.txt; head -n1 <&3; head -n1 <&3; read b <&3; echo \"$b\"; readlink /proc/self/fd/3")
    lines = out.split(b"\n")
    assert lines[:3] == LINES.split(b"\n")[:3] and lines[3].startswith(b"/memfd:ossc:")


def test_deciding_costs_few_system_calls(shared):
    """strace of one exec: with the store file as its input, and with an ordinary one."""
    log = shared.dir / "strace"
    code = "import os, sys; fd = os.open(sys.argv[1], 0); os.dup2(fd, 0); sys.stdout.flush(); os.kill(os.getpid(), 0); os.execv('/bin/true', ['true'])"

    def calls(path):
        out = shared.run("strace", "-o", log, sys.executable, "-c", code, path)
        assert out.returncode == 0, out.stderr
        lines = log.read_text().splitlines()
        first = next(i for i, line in enumerate(lines) if line.startswith("kill("))
        last = next(i for i, line in enumerate(lines) if i > first and line.startswith("execve("))
        return last - first

    assert calls(shared.path("lines.txt")) - calls("/etc/hostname") <= 13


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a set-user-ID program of another user")
def test_a_setuid_program_reads_a_copy(shared, tmp_path):
    tmp_path.chmod(0o755)
    program = tmp_path / "cat"
    shutil.copy("/bin/cat", program)
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    assert sh(shared, f"{program} < $D/blob.bin | sha256sum").split()[0].decode() == digest(BLOB)


def test_subprocess_by_vfork_leaves_the_parents_descriptors_alone(shared):
    out = python(shared, f"""
        import os, subprocess
        fd = os.open(os.environ["D"] + "/lines.txt", os.O_RDONLY)
        other = os.open(os.environ["D"] + "/lines.txt", os.O_RDONLY)
        os.read(fd, 5)
        os.read(other, 11)
        bare = {{"PATH": os.environ["PATH"], "ENABLE_CONNECTOR": "0"}}
        for argv in ["{BUSYBOX}", "head", "-c", "20"], ["head", "-c", "20"], ["sh", "-c", "head -c 20"]:
            print(subprocess.run(argv, stdin=fd, env=bare, capture_output=True).stdout)
        print(os.read(fd, 5), os.read(other, 5), os.readlink(f"/proc/self/fd/{{fd}}")[:12])
        print(subprocess.run(["head", "-c", "20"], stdin=other, capture_output=True).stdout)
        print(os.read(other, 3))
        print(subprocess.run(["{BUSYBOX}", "sh", "-c", f"cat <&{{fd}} | wc -c"], pass_fds=[fd], capture_output=True).stdout)
        """)
    want = [LINES[5:25]] * 3
    assert out == "".join(f"{x!r}\n" for x in want) + \
        f"{LINES[5:10]!r} {LINES[11:16]!r} /memfd:ossc:\n{LINES[16:36]!r}\n{LINES[36:39]!r}\n" + \
        repr(b"%d\n" % (len(LINES) - 10)) + "\n"


def test_a_program_in_the_bucket_is_not_run_and_it_is_said_once(shared):
    out = shared.run("bash", "-c", "$D/run.sh; cd $D && ./run.sh; sh $D/run.sh", env={"D": str(shared.model_dir)})
    assert out.stdout == b"ran\n" and out.stderr.count(b"ermission denied") == 2, out
    out = shared.run(sys.executable, "-c", textwrap.dedent("""
        import os
        D = os.environ["MODEL_DIR"]
        for call in (lambda: os.execv(D + "/run.sh", ["x"]), lambda: os.execvpe("run.sh", ["x"], {"PATH": D}),
                     lambda: os.posix_spawn(D + "/run.sh", ["x"], {}),
                     lambda: os.execve(os.open(D + "/run.sh", 0), ["x"], {})):
            try:
                call()
            except OSError as e:
                print(type(e).__name__)
        """))
    assert out.stdout == b"PermissionError\n" * 4, out
    assert out.stderr.count(b"cannot be run from the store") == 1
