"""Real programs give the same output, exit code and files on a mount as on a plain directory.

Each row of test/programs/table runs in three states: cold (the daemon has just started and holds
nothing), warm (it holds everything) and small (its cache holds a quarter of what there is).
"""
import itertools
import shutil
import time

import pytest

import programs
import programs_tree
from conftest import KEY
from daemon import staged
from store import Store

ROWS = programs.all_rows()
STATES = ["cold", "warm", "small"]


class Stage:
    """One store, one plain copy, and a mount for each state."""

    def __init__(self, base):
        self.base = base
        self.daemons, self.places, self.bare = {}, {}, {}
        self.names = (f"c{i:04d}" for i in itertools.count())
        programs_tree.make(base / "plain" / "model")
        # Past the files' own times, before anything that a row makes.
        self.since = time.time() - 3600
        self.store = Store(keys=[KEY], buckets=["models"])
        shutil.copytree(base / "plain" / "model", self.store.root / "models" / "m", dirs_exist_ok=True)
        self.store.rescan()
        self.store.settle()
        files = [p for p in (base / "plain" / "model").rglob("*") if p.is_file()]
        self.nr_files, self.bytes = len(files), sum(p.stat().st_size for p in files)
        self.plain = programs.Place(base, "plain")
        self.untouched = self.files()
        programs.compile_all(base)

    def files(self):
        """Of the plain copy: a row that writes into it would spoil the others."""
        found = {p: p.lstat() for p in self.plain.model.rglob("*")}
        return {p: (st.st_mode, st.st_size, st.st_mtime_ns, st.st_ctime_ns) for p, st in found.items() if not p.is_dir()}

    def bare_outcome(self, row):
        if row not in self.bare:
            self.bare[row] = self.plain.run(row, self.since)
            before, self.untouched = self.untouched, self.files()
            changed = [str(path) for path, _ in before.items() ^ self.untouched.items()]
            assert changed == [], "the row has changed the plain copy"
        return self.bare[row]

    def daemon(self, state):
        if state not in self.daemons:
            size = self.bytes // 4 if state == "small" else 256 << 20
            daemon = programs.mount(self.base, state.ljust(5, "-"), self.store, KEY, size)
            self.daemons[state] = daemon
            if state == "warm":
                daemon.ossc("prefetch", "--wait").check_returncode()
        return self.daemons[state]

    def outcome(self, state, row):
        if state == "cold":
            name = next(self.names)
            daemon = programs.mount(self.base, name, self.store, KEY, 256 << 20)
            try:
                return programs.Place(self.base, name, daemon).run(row, self.since)
            finally:
                daemon.stop()
        daemon = self.daemon(state)
        if state not in self.places:
            self.places[state] = programs.Place(self.base, state.ljust(5, "-"), daemon)
        return self.places[state].run(row, self.since)

    def close(self):
        for daemon in self.daemons.values():
            daemon.stop()
        self.store.close()


@pytest.fixture(scope="module")
def stage():
    with staged(Stage, "same-") as stage:
        yield stage


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", ROWS)
def test_same(name, state, stage):
    row = ROWS[name]
    want = stage.bare_outcome(row) if row.want is None else programs.Outcome(0, row.want.encode(), b"", {}, [])
    different = programs.differences(row, want, stage.outcome(state, row))
    if different:
        pytest.fail(different[:6000], pytrace=False)


def test_the_states_are_what_they_are_called(stage):
    def cached(daemon):
        return daemon.status()["mounts"][0]["cached_bytes"]
    assert cached(stage.daemon("warm")) == stage.bytes
    row = programs.Row("everything", 'cat "$D"/*.safetensors | sha256sum', None, ())
    stage.outcome("small", row)
    assert 0 < cached(stage.daemon("small")) <= stage.bytes // 4
    stage.store.reset()
    stage.outcome("warm", row)
    assert not stage.store.counters("models/m/model-00001-of-00002.safetensors").get("bytes")
    stage.outcome("cold", row)
    assert stage.store.counters("models/m/model-00001-of-00002.safetensors")["bytes"] > 0
