"""Starts an osscd of its own, in a private folder, and speaks to it as its users do."""
import contextlib
import errno
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = TOP / os.environ.get("B", "build/release")


def cpu_seconds(pid):
    """User and system seconds that a process and its reaped children have used."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return sum(int(x) for x in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid):
    """Peak resident set of a process, shared memory included."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))


@contextlib.contextmanager
def staged(make, prefix):
    """What many stories share: make(folder), closed at the end, and its folder removed, whatever happens."""
    base = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    try:
        stage = make(base)
        try:
            yield stage
        finally:
            stage.close()
    finally:
        shutil.rmtree(base, ignore_errors=True)


class Daemon:
    """with Daemon(store, {"verify": "off"}) as d: subprocess.run(["cat", d.path("x")], env=d.preload())"""

    def __init__(self, store, conf=None, bucket="models", prefix="", key=None, scheme="oss", env=None,
                 endpoint=None, dir=None):
        self.own_dir = tempfile.TemporaryDirectory(prefix="osscd-")
        self.dir = pathlib.Path(dir or self.own_dir.name)
        self.store, self.bucket, self.prefix = store, bucket, prefix
        self.scheme = scheme
        self.key = key
        self.endpoint = endpoint
        self.socket = self.dir / "osscd.sock"
        self.model_dir = self.dir / "model"
        self.log_path = self.dir / "osscd.log"
        self.audit_path = self.dir / "audit.log"
        self.conf_path = self.dir / "config.json"
        self.conf = {"logPath": str(self.log_path), "auditPath": str(self.audit_path), "logLevel": 0}
        self.conf.update(conf or {})
        self.extra_env = env or {}
        self.process = None

    def write_conf(self):
        self.conf_path.write_text(json.dumps(self.conf, indent=1))

    def start(self, wait=True):
        self.write_conf()
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OSS", "LD_PRELOAD", "HTTP_"))}
        env.update(self.extra_env)
        self.stderr = open(self.dir / "stderr", "ab")
        self.process = subprocess.Popen(
            [BUILD / "osscd", "--config", self.conf_path, "--socket", self.socket],
            env=env, stderr=self.stderr, stdin=subprocess.DEVNULL)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        deadline = time.monotonic() + 20
        while not self.answers():
            if self.process.poll() is not None:
                raise RuntimeError(f"osscd ended with {self.process.returncode}: {self.errors()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"osscd did not make {self.socket} in 20 s: {self.errors()}")
            time.sleep(0.01)

    def answers(self):
        """A socket appears a moment before anybody listens on it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            try:
                s.connect(str(self.socket))
                return True
            except OSError:
                return False

    def errors(self):
        return (self.dir / "stderr").read_text(errors="replace")

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self):
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise RuntimeError("osscd did not end within 20 s of SIGTERM")
        self.stderr.close()
        code, self.process = self.process.returncode, None
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        try:
            self.stop()
        finally:
            self.remove_dir()

    def remove_dir(self):
        """A program that is just ending may still put something there."""
        for last in [False] * 100 + [True]:
            try:
                self.own_dir.cleanup()
                return
            except OSError as e:
                if e.errno != errno.ENOTEMPTY or last:
                    raise
            time.sleep(0.05)

    @classmethod
    @contextlib.contextmanager
    def unstarted(cls, store, conf=None, **options):
        """Only the folder and the configuration: the first primary starts the daemon itself."""
        d = cls(store, conf, **options)
        d.write_conf()
        try:
            yield d
        finally:
            d.stop_spawned()
            d.own_dir.cleanup()

    def spawned_pid(self):
        """Of a daemon that a client started; None when there is none."""
        if not self.socket.exists():
            return None
        out = self.ossc("status", "--json")
        return json.loads(out.stdout)["daemon"]["pid"] if out.returncode == 0 else None

    def stop_spawned(self):
        pid = self.spawned_pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while os.path.exists(f"/proc/{pid}"):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                raise RuntimeError(f"the spawned osscd {pid} did not end within 20 s of SIGTERM")
            time.sleep(0.01)

    @property
    def pid(self):
        return self.process.pid

    @property
    def oss_path(self):
        return f"{self.scheme}://{self.bucket}/{self.prefix}"

    def path(self, name=""):
        return str(self.model_dir / name)

    def env(self, **more):
        """The environment of design §8 for clients, without the preload."""
        ak, sk, token = (tuple(self.key) + ("",))[:3] if self.key else ("", "", "")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OSS", "LD_PRELOAD", "HTTP_"))}
        env.update({
            "OSSC_SOCKET": str(self.socket), "OSSC_CONFIG": str(self.conf_path),
            "OSSC_DAEMON": str(BUILD / "osscd"),
            "OSS_ENDPOINT": self.endpoint or self.store.endpoint, "OSS_REGION": self.store.region,
            "OSS_PATH": self.oss_path, "MODEL_DIR": str(self.model_dir),
            # A load that takes long on a busy machine is no reason for a line on stderr.
            "OSSC_PROGRESS": "off",
        })
        if ak:
            env.update({"OSS_ACCESS_KEY_ID": ak, "OSS_ACCESS_KEY_SECRET": sk})
        if token:
            env["OSS_SESSION_TOKEN"] = token
        env.update(more)
        return env

    def preload(self, role=1, **more):
        return self.env(LD_PRELOAD=str(BUILD / "libossc_preload.so"), ENABLE_CONNECTOR=str(role), **more)

    def run(self, *argv, preload=True, role=1, timeout=120, env=None, **kw):
        """Run a program to its end; text is bytes."""
        env = (self.preload(role, **(env or {})) if preload else self.env(**(env or {})))
        return subprocess.run([str(a) for a in argv], env=env, capture_output=True, timeout=timeout, **kw)

    def ossc(self, *argv, **kw):
        return self.run(BUILD / "ossc", *argv, preload=False, **kw)

    def status(self):
        out = self.ossc("status", "--json")
        if out.returncode != 0:
            raise RuntimeError(out.stderr.decode())
        return json.loads(out.stdout)

    def was_smooth(self):
        """No download was cut or tried again: such a one may cost some bytes twice, on a machine that is very busy."""
        fetch = self.status()["fetch"]
        return fetch["retries"] == 0 and fetch["cut"] == 0
