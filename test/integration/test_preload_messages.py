"""What a user is told when something is wrong: one line that says what to do, and the errno it names."""
import errno
import os
import re
import subprocess
import sys

import pytest

from conftest import KEY
from daemon import BUILD, Daemon


@pytest.fixture
def mounted(store, start_daemon):
    store.put("models/m/config.json", b'{"a": 1}\n')
    store.put("models/m/sub/w.bin", bytes(1000))
    return start_daemon(prefix="m/")


def said(out):
    """The library's own lines."""
    return [line for line in out.stderr.decode().splitlines() if line.startswith("oss-connector: ")]


@pytest.mark.parametrize("wrong, name", [
    ({"OSS_ACCESS_KEY_ID": "nobody"}, "EACCES"),
    ({"OSS_PATH": "oss://models/none/"}, "ENOENT"),
    ({"HTTP_SOURCE_IP": "192.0.2.1"}, "EIO"),
])
def test_the_line_names_the_error_that_the_program_gets(wrong, name, mounted):
    out = mounted.run("cat", mounted.path("config.json"), env=wrong)
    assert out.returncode == 1
    assert len(said(out)) == 1 and said(out)[0].endswith(f" ({name})"), out.stderr
    assert os.strerror(getattr(errno, name)) in out.stderr.decode().splitlines()[-1]
    assert said(out)[0].count(mounted.oss_path) <= 1


def test_a_line_never_lands_in_a_file_that_was_opened_as_descriptor_2(mounted, tmp_path):
    script = 'import os\nwhile os.open("mine", os.O_CREAT | os.O_RDWR) < 2:\n    pass\nassert os.path.samefile(2, "mine")\n' \
             'try:\n    open(os.environ["F"])\nexcept PermissionError:\n    os.write(2, b"refused")\n'
    out = mounted.run("bash", "-c", f"exec {sys.executable} -S -c '{script}' 2>&-", cwd=tmp_path,
                      env={"F": mounted.path("config.json"), "OSS_ACCESS_KEY_ID": "nobody"})
    assert out.returncode == 0 and (tmp_path / "mine").read_bytes() == b"refused"


def test_a_directory_that_cannot_be_made_is_not_said_to_be_absent(mounted):
    if not os.path.ismount("/sys"):
        pytest.skip("needs a place where not even root may make a directory: /sys is not mounted")
    top = "/sys/model-of-a-story"
    out = mounted.run("stat", f"{top}/sub", env={"MODEL_DIR": top})
    name = re.fullmatch(rf"oss-connector: cannot make the directory {top} \((\w+)\); .*MODEL_DIR.*", said(out)[0])[1]
    assert name in ("EPERM", "EACCES", "EROFS")
    assert os.strerror(getattr(errno, name)).encode() in out.stderr.splitlines()[-1]
    out = mounted.run("cat", f"{top}/sub/w.bin", env={"MODEL_DIR": top})
    assert (out.returncode, out.stdout) == (0, bytes(1000)), out.stderr


def test_a_model_dir_that_is_a_file_is_named(mounted, tmp_path):
    (tmp_path / "file").write_text("mine")
    out = mounted.run("ls", tmp_path / "file", env={"MODEL_DIR": str(tmp_path / "file")})
    assert len(said(out)) == 1 and f"MODEL_DIR ({tmp_path}/file) is not a directory" in said(out)[0]


def test_too_few_descriptors_are_called_that(mounted):
    for limit in range(4, 8):
        out = mounted.run("bash", "-c", f"ulimit -n {limit}; exec cat {mounted.path('config.json')}")
        assert out.returncode == 0 or os.strerror(errno.EMFILE) in out.stderr.decode(), (limit, out.stderr)
        assert said(out) == []
    assert mounted.run("bash", "-c", f"ulimit -n 12; exec cat {mounted.path('config.json')}").stdout == b'{"a": 1}\n'


def test_primaries_that_start_at_once_share_one_daemon(store):
    """Those whose own daemon came too late wait for the one that came first."""
    store.put("models/m/config.json", b'{"a": 1}\n')
    with Daemon.unstarted(store, key=KEY, prefix="m/") as daemon:
        argv = ["cat", daemon.path("config.json")]
        runs = [subprocess.Popen(argv, env=daemon.preload(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                for _ in range(16)]
        assert [(p.communicate(timeout=60), p.returncode) for p in runs] == [((b'{"a": 1}\n', b""), 0)] * 16


def test_a_daemon_that_cannot_start_says_why(store):
    with Daemon.unstarted(store, key=KEY, prefix="m/") as daemon:
        daemon.conf_path.write_text("cache: [")
        out = daemon.run("cat", daemon.path("config.json"))
        assert out.returncode == 1 and len(said(out)) == 1
        assert f"{daemon.conf_path}:1" in said(out)[0] and said(out)[0].endswith(" (EIO)")


def test_a_secondary_alone_is_told_to_start_the_primary(store):
    with Daemon.unstarted(store, key=KEY, prefix="m/") as daemon:
        out = daemon.run("cat", daemon.path("config.json"), role=2, env={"OSSC_WAIT_SEC": "1"})
        assert len(said(out)) == 1 and "a program with ENABLE_CONNECTOR=1 first" in said(out)[0]


def test_trace_tells_of_a_library_that_is_not_there_and_of_programs_where_it_is_off(mounted):
    out = mounted.ossc("trace", "true", env={"LD_PRELOAD": "/none/libossc_preload.so"})
    assert out.returncode == 1 and b"ossc: LD_PRELOAD names /none/libossc_preload.so: No such file" in out.stderr
    out = mounted.ossc("trace", "cat", mounted.path("config.json"), env={"ENABLE_CONNECTOR": "0"})
    assert b"without ENABLE_CONNECTOR, or with 0" in out.stderr
    out = mounted.ossc("trace", "no-such-command")
    assert out.returncode == 127 and out.stderr.startswith(b"ossc: no-such-command: No such file or directory\n")


@pytest.mark.parametrize("program", [
    "import os; os.read(f, 10)",
    "import os; os.preadv(f, [bytearray(5)], 3)",
    "import os; os.sendfile(1, f, 0, 10)",
    "import mmap; mmap.mmap(f, 0, prot=mmap.PROT_READ)",
])
def test_a_file_that_cannot_be_read_is_named_once(program, store, start_daemon):
    store.put("models/m/w.bin", bytes(1000))
    daemon = start_daemon({"network": {"retrySec": 1}}, prefix="m/")
    store.fault("GET models/m/w.bin", "status", status=403, code="AccessDenied")
    out = daemon.run(sys.executable, "-c", "import os; f = os.open(os.environ['MODEL_DIR'] + '/w.bin', 0)\n"
                     f"for i in range(2):\n    try: {program}\n    except OSError as e: print(e.errno)")
    assert out.stdout.decode().split() == [str(errno.EACCES)] * 2
    assert said(out) == ["oss-connector: w.bin cannot be read: the daemon's log, which `ossc status` names, says why (EACCES)"]


@pytest.mark.parametrize("wrong, finding", [
    ({"MODEL_DIR": "models"}, "fail  MODEL_DIR      models: write an absolute path"),
    ({"MODEL_DIR": "/sys/model/of/a/story"}, "fail  MODEL_DIR      /sys/model/of/a/story does not exist, and this user"),
    ({"LD_PRELOAD": "/none/libossc_preload.so"}, "ok    configuration  "),
])
def test_doctor_finds_what_the_library_would_stumble_over(wrong, finding, mounted):
    if "/sys" in str(wrong) and os.access("/sys", os.W_OK):
        pytest.skip("this user may write to /sys, or seems so: no place where nothing can be made")
    out = mounted.ossc("doctor", env=wrong).stdout.decode()
    assert finding in out and "ld.so" not in out.split("LD_PRELOAD")[0], out


def test_help_explains_paths_only_where_they_are_asked_for():
    def words(command):
        return subprocess.run([BUILD / "ossc", command, "--help"], capture_output=True, timeout=20).stdout

    assert b"PATH is oss://" in words("get") and b"PATH is oss://" in words("ls")
    assert b"PATH is oss://" not in words("doctor") and b"usage: ossc doctor\n" in words("doctor")
