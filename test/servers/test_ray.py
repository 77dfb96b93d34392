"""Ray's tasks and actors on one node read from the store what they read from a local directory."""
import hashlib
import json
import pathlib
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).with_name("ray_program.py")
# What a worker needs; the driver itself is not preloaded.
PASSED_ON = ("LD_PRELOAD", "MODEL_DIR", "OSS_", "OSSC_")


def run(stage, directory, env=None):
    variables = {k: v for k, v in (env or {}).items() if k.startswith(PASSED_ON)}
    out = subprocess.run([sys.executable, PROGRAM, directory, json.dumps(variables)], env=stage.environment(),
                         cwd=stage.base, capture_output=True, text=True, timeout=600)
    assert out.returncode == 0, out.stdout + out.stderr
    return json.loads(out.stdout.splitlines()[-1]), out.stderr


@pytest.fixture(scope="session")
def weights(stage):
    """The digest of the weights from the plain directory, without the library."""
    answer, _ = run(stage, stage.plain)
    assert len(set(answer["weights"])) == 1
    return answer["weights"][0]


def load(stage, daemon, weights):
    answer, said = run(stage, daemon.model_dir, daemon.preload())
    files = {n: hashlib.sha256((stage.plain / n).read_bytes()).hexdigest() for n in stage.sizes()}
    assert answer["files"] == [files] * 3 and answer["weights"] == [weights] * 2, said


@pytest.mark.parametrize("mmap,cache", [("resident", "256MiB"), ("lazy", "256MiB"), ("resident", "24MiB"), ("lazy", "24MiB")])
def test_ray_workers_cold_and_then_warm_or_with_a_small_cache(mmap, cache, stage, weights, start_daemon):
    daemon = start_daemon(mmap, cache)
    load(stage, daemon, weights)
    if cache == "24MiB":
        assert daemon.status()["cache"]["evictions"] > 0
        return
    if daemon.was_smooth():
        assert stage.sent() == stage.sizes()
    stage.store.reset()
    load(stage, daemon, weights)
    assert set(stage.sent().values()) == {0}
