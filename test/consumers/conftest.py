"""The models, stores that have them, and daemons in the states in which a loader may meet them."""
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from daemon import Daemon, staged  # noqa: E402
from store import AK, SK, Store  # noqa: E402

MiB = 1 << 20
LARGE = 256 * MiB
MODES = ["resident", "lazy"]


def own_environment(env, base):
    """What a loader finds beside the model: one thread, no network, and a home without a cache."""
    hidden = ("PYTHONPATH", "HF_", "TRANSFORMERS_", "XDG_")
    return {k: v for k, v in env.items() if not k.startswith(hidden)} | {
        "HOME": str(base / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "CUDA_VISIBLE_DEVICES": "",
    }


class Stage:
    """DIR/root/models is a bucket and, at the same time, the plain directory to compare with.

    Each way of mapping has a store and daemons of its own, so that both can run, and be counted, side by side.
    """

    def __init__(self, base):
        self.base = base
        self.models = base / "root" / "models"
        self.warm, self.expected, self.stores = {}, {}, {}
        self.models.mkdir(parents=True)
        (base / "home").mkdir()
        made = subprocess.run([sys.executable, HERE / "make_models.py", self.models],
                              env=own_environment(dict(os.environ), base), capture_output=True, text=True, timeout=600)
        assert made.returncode == 0, made.stdout + made.stderr
        for mode in MODES:
            self.stores[mode] = Store(root=base / "root", keys=[(AK, SK)], buckets=["models"])
            self.stores[mode].settle()

    def sizes(self, model):
        """{key: bytes} of all its files."""
        return {f"models/{p.relative_to(self.models)}": p.stat().st_size
                for p in (self.models / model).rglob("*") if p.is_file()}

    def sent(self, model, mode):
        """{key: bytes} that the store has sent since it was reset, of files that have any."""
        return {key: sent for key in self.sizes(model) if (sent := self.stores[mode].counters(key)["bytes"]) != 0}

    def daemon(self, model, mode, size=LARGE):
        # Kept as long as the session may last: a warm state stays warm.
        conf = {"mmap": mode, "expireTimeSec": 3600, "cache": {"size": size, "chunkSize": "1MiB"}}
        return Daemon(self.stores[mode], conf, prefix=f"{model}/", key=(AK, SK)).start()

    def in_state(self, model, state, mode):
        """A daemon for one run; leave() ends it unless it is to stay warm."""
        if state == "cold":
            return self.daemon(model, mode)
        if state == "small":
            return self.daemon(model, mode, sum(self.sizes(model).values()) // 4)
        if (model, mode) not in self.warm:
            self.warm[model, mode] = self.daemon(model, mode)
            self.warm[model, mode].ossc("prefetch", "--wait").check_returncode()
        return self.warm[model, mode]

    def leave(self, daemon):
        if daemon not in self.warm.values():
            daemon.stop()
            daemon.own_dir.cleanup()

    def command(self, program, at, *args):
        return [sys.executable, HERE / "programs" / f"{program}.py", at, *args]

    def start(self, program, at, *args, env=None):
        return subprocess.Popen(self.command(program, at, *args), env=own_environment(env or dict(os.environ), self.base),
                                cwd=self.base, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self, process):
        """(exit code, output, errors) of a program that was started."""
        try:
            out, err = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            err += "\nstill running after 300 s\n"
        return process.returncode, out, err

    def on_plain_directory(self, program, model, *args):
        key = (program, model, *args)
        if key not in self.expected:
            code, out, err = self.end(self.start(program, self.models / model, *args))
            assert code == 0 and out != "", err
            self.expected[key] = out
        return self.expected[key]

    def close(self):
        for daemon in self.warm.values():
            daemon.stop()
            daemon.own_dir.cleanup()
        for store in self.stores.values():
            store.close()


@pytest.fixture(scope="session")
def stage():
    with staged(Stage, "consumers-") as stage:
        yield stage
