"""The model, one store that has it, and daemons in the states in which a server may meet them."""
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from daemon import Daemon, staged  # noqa: E402
from store import AK, SK, Store  # noqa: E402

CACHE = "256MiB"


def own_environment(env, base):
    """What a server finds beside the model: no network, no home of ours, nothing told to its makers."""
    hidden = ("PYTHONPATH", "HF_", "TRANSFORMERS_", "XDG_", "VLLM_", "RAY_", "HTTP_", "http_", "HTTPS_", "https_")
    return {k: v for k, v in env.items() if not k.startswith(hidden)} | {
        "HOME": str(base / "home"), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": "",
        "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONDONTWRITEBYTECODE": "1", "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
    }


class Stage:
    """BASE/root/models is a bucket and, at the same time, the plain directory to compare with."""

    def __init__(self, base):
        self.base, self.store = base, None
        self.plain = base / "root" / "models" / "llama"
        self.plain.mkdir(parents=True)
        (base / "home").mkdir()
        made = subprocess.run([sys.executable, HERE / "make_model.py", self.plain], env=self.environment(),
                              capture_output=True, text=True, timeout=600)
        assert made.returncode == 0, made.stdout + made.stderr
        self.store = Store(root=base / "root", keys=[(AK, SK)], buckets=["models"])
        self.store.settle()

    def environment(self, env=None):
        return own_environment(dict(os.environ) if env is None else env, self.base)

    def sizes(self):
        return {p.name: p.stat().st_size for p in self.plain.iterdir()}

    def shards(self):
        return sorted(name for name in self.sizes() if name.endswith(".safetensors"))

    def sent(self):
        """{name: bytes} that the store has sent since it was reset."""
        return {name: self.store.counters(f"models/llama/{name}")["bytes"] for name in self.sizes()}

    def close(self):
        if self.store is not None:
            self.store.close()


@pytest.fixture(scope="session")
def stage():
    with staged(Stage, "ossc-servers-") as stage:
        yield stage


@pytest.fixture
def start_daemon(stage):
    """start_daemon(mmap, size) -> a running daemon that has nothing yet; the store's counters are at 0."""
    running = []

    def start(mmap="auto", size=CACHE):
        daemon = Daemon(stage.store, {"mmap": mmap, "expireTimeSec": 3600, "cache": {"size": size, "chunkSize": "1MiB"}},
                        prefix="llama/", key=(AK, SK))
        running.append(daemon)
        daemon.start()
        stage.store.reset()
        return daemon

    yield start
    for daemon in running:
        try:
            daemon.stop()
        finally:
            daemon.own_dir.cleanup()
