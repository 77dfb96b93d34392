"""Fixtures: a store of one's own and daemons of one's own, ended whatever the test does."""
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from daemon import Daemon  # noqa: E402
from store import Store  # noqa: E402

KEY = ("LTAI5tTestAccessKeyId0001", "TestSecret0123456789abcdefABCDEF")


def has_userfaultfd():
    """Does the kernel fill mappings for us, its own accesses included?"""
    code = "import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(323 if sys.argv[1] == 'x86_64' else 282, 0) < 0)"
    return subprocess.run([sys.executable, "-c", code, os.uname().machine]).returncode == 0


@pytest.fixture
def store(tmp_path):
    with Store(keys=[KEY], buckets=["models"]) as s:
        yield s


@pytest.fixture
def start_daemon(store):
    """start_daemon(conf, **options) -> a running Daemon on `store`."""
    running = []

    def start(conf=None, **options):
        options.setdefault("key", KEY)
        d = Daemon(store, conf, **options)
        running.append(d)
        return d.start()

    yield start
    for d in running:
        try:
            d.stop()
        finally:
            d.own_dir.cleanup()


@pytest.fixture
def daemon(start_daemon):
    return start_daemon({"cache": {"size": "512MiB"}})
