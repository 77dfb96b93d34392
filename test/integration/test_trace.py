"""`ossc trace`: what a program asked of MODEL_DIR, and what became of it."""
import os
import re
import shutil
import subprocess
import sys
import textwrap

import pytest

from daemon import BUILD

PROGRAM = """
import mmap, os, subprocess, sys
D = os.environ["MODEL_DIR"]
def ignore(call, *args):
    try:
        return call(*args)
    except OSError:
        pass
fd = os.open(D + "/w.bin", os.O_RDONLY)          # store
os.pread(fd, 100, 5)
mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)
os.stat(D + "/sub")                              # forwarded
os.listdir(D)
os.close(os.open(D + "/mine", os.O_CREAT | os.O_WRONLY))    # local
ignore(os.stat, D + "/none")
ignore(os.unlink, D + "/w.bin")                  # refused
ignore(os.open, D + "/w.bin", os.O_RDWR)
os.stat("/etc/hostname")                         # nobody's
if os.fork() == 0:
    os.chdir(D)
    os.stat("w.bin")
    os._exit(0)
os.wait()
sys.exit(7)
"""


@pytest.fixture
def d(store, start_daemon):
    store.put("models/t/w.bin", b"0123456789" * 1000)
    store.put("models/t/sub/x", b"x\n")
    return start_daemon(prefix="t/")


def traced(d, *argv, options=(), **env):
    """-> (process, lines without their process, summary)"""
    out = d.ossc("trace", *options, *argv, env={"PYTHONDONTWRITEBYTECODE": "1", **env})
    text = out.stderr.decode().replace(str(d.model_dir), "DIR")
    lines, _, summary = text.partition("ossc trace: ")
    return out, [re.sub(r"^\d+ ", "", re.sub(r"0x[0-9a-f]+$", "ADDRESS", line)) for line in lines.splitlines()], summary


def own_lines(lines):
    """Of calls that name one of our files; without those that only some versions of the interpreter make."""
    return [re.sub(r" = [1-9]\d*$", " = N", line) for line in lines
            if re.search(r"DIR/(w\.bin|sub|mine|none)", line) and not re.search(r" (fstat|fcntl|lseek) ", line)]


def test_every_decision_is_shown_and_counted(d):
    out, lines, summary = traced(d, sys.executable, "-c", PROGRAM)
    assert out.returncode == 7
    assert own_lines(lines) == [
        "store     open DIR/w.bin = N",
        "store     pread DIR/w.bin = N",
        "store     mmap DIR/w.bin = ADDRESS",
        "forwarded stat DIR/sub = 0",
        "local     open DIR/mine = N",
        "local     stat DIR/none = -1 ENOENT",
        "refused   unlink DIR/w.bin = -1 EROFS",
        "refused   open DIR/w.bin = -1 EROFS",
        "store     stat DIR/w.bin = 0",
    ]
    assert "forwarded opendir DIR = 0" in lines
    assert not any("hostname" in line for line in lines)
    assert "refused:\n  1 x open DIR/w.bin: EROFS" in summary and "  1 x unlink DIR/w.bin: EROFS" in summary
    assert "The store is read-only" in summary
    assert "failed:\n  1 x stat DIR/none: ENOENT (No such file or directory)\n" in summary
    assert re.match(r"\d+ calls concerned MODEL_DIR\n +\d+ store .*\n +\d+ forwarded .*\n +\d+ local .*\n +2 refused ",
                    summary)


def test_only_the_summary_into_a_file(d, tmp_path):
    out, _, _ = traced(d, "cat", d.path("w.bin"), options=["-c", "-o", tmp_path / "trace", "--"])
    assert (out.returncode, out.stdout, out.stderr) == (0, b"0123456789" * 1000, b"")
    text = (tmp_path / "trace").read_text()
    assert text.startswith("ossc trace: ") and "failed" not in text and "without the library" not in text


def test_programs_without_the_library_are_named(d, tmp_path):
    static = shutil.which("busybox")
    if static is None or b"statically" not in subprocess.run(["file", "-L", static], capture_output=True).stdout:
        pytest.skip("no static busybox")
    shutil.copy(static, tmp_path / "tool")
    script = tmp_path / "script"
    script.write_text(f"#!{tmp_path}/tool sh\n:\n")
    script.chmod(0o755)
    (tmp_path / "rubbish").write_bytes(b"\x7fELFrubbish" * 100)
    (tmp_path / "rubbish").chmod(0o755)
    code = f"""
        import subprocess
        for how in ({{}}, {{"close_fds": False}}):
            subprocess.run(["{tmp_path}/tool", "true"], **how)
        subprocess.run(["{script}"])
        subprocess.run(["true"])
        try:
            subprocess.run(["{tmp_path}/rubbish"])
        except OSError as e:
            print(e.errno)
        """
    out, _, summary = traced(d, sys.executable, "-c", textwrap.dedent(code))
    assert out.stdout == b"8\n"
    named = re.findall(r"^  (/\S+): (.*)$", summary.partition("without the library")[2], re.M)
    assert sorted(path for path, _ in named) == sorted([str(script)] + [str(tmp_path / "tool")] * 2)
    assert all("statically linked" in why for _, why in named)


def test_the_command_itself_may_be_static(d):
    static = shutil.which("busybox")
    if static is None:
        pytest.skip("no busybox")
    out, lines, summary = traced(d, "busybox", "cat", d.path("w.bin"))
    assert out.returncode == 1 and summary.startswith("0 calls")
    assert f"{os.path.realpath(static)}: it is statically linked" in summary or f"{static}: it is stat" in summary


def test_without_a_daemon_the_first_thing_is_why(store, d):
    d.stop()
    out, lines, summary = traced(d, "cat", d.path("w.bin"), ENABLE_CONNECTOR="2", OSSC_WAIT_SEC="1")
    assert out.returncode == 1
    # The command writes its own line in pieces, on the same standard error.
    assert any("store     open DIR/w.bin = -1 EIO" in line for line in lines)
    assert "the library said:\n  oss-connector: no daemon listens at " in summary


def test_a_wrong_environment_is_said(d):
    out, _, summary = traced(d, "true", OSS_PATH="http://x/")
    assert out.returncode == 0 and "OSS_PATH must begin with" in summary
    out, _, summary = traced(d, "env", "-u", "ENABLE_CONNECTOR", "true")
    assert "without ENABLE_CONNECTOR" in summary


@pytest.mark.parametrize("argv, code, words", [
    (["/no/such/program"], 127, "/no/such/program: No such file"),
    (["sh", "-c", "kill -9 $$"], 137, "calls concerned"),
    ([], 2, "which COMMAND"),
    (["-x", "true"], 2, "unknown option -x"),
])
def test_its_exit_code_is_the_commands(argv, code, words, d):
    out = d.ossc("trace", *argv)
    assert out.returncode == code and words in out.stderr.decode()


def test_signals_reach_the_command_and_nothing_is_left(d, tmp_path):
    env = d.env(TMPDIR=str(tmp_path))
    code = "import signal, sys\nsignal.signal(15, lambda *a: sys.exit(9))\nprint('up', flush=True)\nsignal.pause()"
    p = subprocess.Popen([BUILD / "ossc", "trace", sys.executable, "-c", code], env=env, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
    try:
        assert p.stdout.readline() == b"up\n"
        assert os.listdir(tmp_path)
        p.terminate()
        assert p.wait(20) == 9
        assert os.listdir(tmp_path) == []
    finally:
        p.kill()
        p.wait()


def test_a_program_goes_on_when_nobody_listens_any_more(d, tmp_path):
    """The trace is killed: the program neither waits nor fails."""
    code = ("import os, sys\nfd = os.open(os.environ['MODEL_DIR'] + '/w.bin', os.O_RDONLY)\nprint('up', flush=True)\n"
            "sys.stdin.readline()\nfor i in range(1000): assert os.pread(fd, 4, 10) == b'0123'\nprint('done', flush=True)")
    p = subprocess.Popen([BUILD / "ossc", "trace", sys.executable, "-c", code], env=d.env(TMPDIR=str(tmp_path)),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert p.stdout.readline() == b"up\n"
    p.kill()
    p.wait()
    p.stdin.write(b"go\n")
    p.stdin.flush()
    assert p.stdout.readline() == b"done\n"
