"""A daemon in one container and programs in others: only the socket's folder is shared between them.

A container is a mount and a process-id namespace with a /run of its own, and where the tests are not root's, a user
namespace too.  The node's folder is mounted at /run/oss-connector, so nobody has to be told where the socket is.
"""
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile

import pytest

from conftest import KEY
from daemon import BUILD, Daemon

MiB = 1 << 20
PROGRAMS = BUILD / "test/programs"
BODY = random.Random(11).randbytes(6 * MiB + 77)
NAME = "/run/model/w.bin"
SUM = hashlib.sha256(BODY).hexdigest()
ENTER = 'mount -t tmpfs none /run && mkdir /run/oss-connector && mount --bind "$NODE" /run/oss-connector && '
# The rights of conf/kubernetes/daemonset.yaml.
SERVE = 'exec setpriv --bounding-set -all,+sys_admin,+sys_ptrace,+dac_read_search --inh-caps -all --no-new-privs "$@"'
# A pod sees the folder read-only and takes the library from it.
READ = 'mount -o remount,bind,ro /run/oss-connector && exec env LD_PRELOAD=/run/oss-connector/libossc_preload.so "$@"'
MAPPED = ("import hashlib, mmap, sys\nwith open(sys.argv[1], 'rb') as f:\n"
          "    print(hashlib.sha256(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)).hexdigest())")
HALVES = ("import hashlib, sys\nwith open(sys.argv[1], 'rb', buffering=0) as f:\n    head = f.read(1 << 20)\n"
          "    print('half', flush=True)\n    sys.stdin.readline()\n"
          "    print(hashlib.sha256(head + f.read()).hexdigest())")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two other users")


def container(then, *argv, user=os.geteuid() != 0):
    """The command that runs argv as process 1 of a container; its environment names the folder NODE."""
    namespaces = ["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if user:
        namespaces += ["--user", "--map-root-user"]
    return ["unshare", *namespaces, "sh", "-c", ENTER + then, "sh", *map(str, argv)]


class Node:
    """A node: the folder that containers share, and the daemon in one of them."""

    def __init__(self, store, folder):
        self.folder = folder
        self.daemon = Daemon(store, {"cache": {"size": "64MiB"}}, key=KEY)
        self.daemon.socket = folder / "osscd.sock"

    def start(self):
        d = self.daemon
        d.write_conf()
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OSS", "LD_PRELOAD", "HTTP_", "XDG_"))}
        d.stderr = open(d.dir / "stderr", "ab")
        d.process = subprocess.Popen(container(SERVE, BUILD / "osscd", "--config", d.conf_path), stdin=subprocess.DEVNULL,
                                     stderr=d.stderr, env={**env, "NODE": str(self.folder)})
        d.wait_ready()

    def stop(self):
        """SIGTERM to the daemon itself: unshare hands no signal on.  -> its exit status"""
        d, process = self.daemon, self.daemon.process
        if process is None:
            return 0
        d.process = None
        try:
            for pid in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                os.kill(int(pid), signal.SIGTERM)
            return process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()  # and, by --kill-child, the daemon
            process.wait()
            raise
        finally:
            d.stderr.close()

    def env(self, role):
        """In a pod: the library, no daemon that it could start, and no word of the socket."""
        env = self.daemon.env(NODE=str(self.folder), MODEL_DIR="/run/model", OSSC_DAEMON="/nonexistent/osscd",
                              ENABLE_CONNECTOR=str(role))
        return {k: v for k, v in env.items() if k not in ("OSSC_SOCKET", "OSSC_CONFIG", "XDG_RUNTIME_DIR")}

    def run(self, *argv, role=2):
        return subprocess.run(container(READ, *argv), env=self.env(role), capture_output=True, text=True, timeout=60)

    def sum(self, *argv, role=2):
        out = self.run(*argv, role=role)
        assert out.returncode == 0 and out.stderr == "", out
        return out.stdout.split()[0]


@pytest.fixture
def node(store):
    with tempfile.TemporaryDirectory(prefix="ossc-node-") as folder:
        yield from run_node(store, pathlib.Path(folder))


def run_node(store, folder):
    folder.chmod(0o755)
    shutil.copy(BUILD / "libossc_preload.so", folder)
    tried = subprocess.run(container(READ, "true"), env={**os.environ, "NODE": str(folder)}, capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"no namespaces can be made here: {tried.stderr.strip()}")
    store.put("models/w.bin", BODY)
    node = Node(store, folder)
    try:
        node.start()
        yield node
        assert node.stop() == 0
    finally:
        node.stop()
        node.daemon.own_dir.cleanup()


def test_containers_share_the_cache_of_the_daemon_in_another(store, node):
    assert node.sum("sha256sum", NAME, role=1) == SUM
    assert node.sum("sha256sum", NAME) == SUM
    assert node.sum("python3", "-c", MAPPED, NAME) == SUM
    assert store.counters("models/w.bin")["bytes"] == len(BODY)
    assert "in memfds" not in node.daemon.log()
    status = node.run(BUILD / "ossc", "status", "--json")
    assert json.loads(status.stdout)["mounts"][0]["oss_path"] == "oss://models/", status.stderr


def test_a_container_without_userfaultfd(node):
    """As the default seccomp profiles of Docker and Kubernetes have it: mappings are complete, and nothing is said."""
    deny = [PROGRAMS / "map_deny", "all"]
    tried = subprocess.run([*deny, "true"], capture_output=True, text=True)
    if tried.returncode == 77:
        pytest.skip(f"no seccomp filter can be made here: {tried.stderr.strip()}")
    assert node.sum(*deny, "python3", "-c", MAPPED, NAME, role=1) == SUM


@pytest.mark.parametrize("role", [1, 2])
def test_the_daemons_container_is_replaced_while_a_program_reads(role, node):
    """What it has open goes on with the same version; a secondary once a primary has made the mount again."""
    assert node.sum("sha256sum", NAME, role=1) == SUM
    reader = subprocess.Popen(container(READ, "python3", "-c", HALVES, NAME), env=node.env(role), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert reader.stdout.readline() == "half\n", reader.communicate()
        assert node.stop() == 0
        node.start()
        if role == 2:
            assert node.sum("sha256sum", NAME, role=1) == SUM
        assert reader.communicate("go\n", timeout=60) == (SUM + "\n", ""), role
    finally:
        reader.kill()
        reader.communicate()


@root_only
def test_a_container_with_users_of_its_own_gives_its_keys_to_nobody(node):
    """The node's root is not its root: what listens there may be anybody's."""
    out = subprocess.run(["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups",
                          *container(READ, "cat", NAME, user=True)], env=node.env(1),
                         capture_output=True, text=True, timeout=60)
    assert out.returncode == 1 and out.stdout == "" and "not trusted" in out.stderr, out
    assert " begun" not in node.daemon.log()
