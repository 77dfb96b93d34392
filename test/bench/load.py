"""From exec to "model loaded": real loaders over a capped store, a second process, and eight ranks.

What nothing can beat is the slower of two: the download at the store's cap, and the same program on the same
files in the page cache.  A total near that says that the download went on while the program imported its
libraries and built its model.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from measure import KEY, TOP, Daemon, Failed, Store, bare_environment, run

PINS = TOP / "test/consumers/requirements.txt"
PROGRAM = pathlib.Path(__file__).with_name("load_program.py")
WAYS = {"load_file": "safetensors load_file, torch", "from_pretrained": "transformers from_pretrained"}
CAPS = (150e6, 400e6)  # bytes a second: the download takes longer than the rest; about as long as the rest
RANKS = 8


def python():
    out = subprocess.run([TOP / "scripts/bootstrap", "--pins", PINS], capture_output=True, text=True)
    if out.returncode != 0:
        raise Failed(f"no environment with the loaders: {out.stderr.strip()[-200:]}")
    return pathlib.Path(out.stdout.strip()) / "bin/python"


class Place:
    """The model in a plain directory and in a store."""

    def __init__(self, size):
        self.python = python()
        self.tmp = tempfile.TemporaryDirectory(prefix="ossc-bench-")
        self.plain = pathlib.Path(self.tmp.name) / "model"
        run([self.python, PROGRAM, "make", self.plain, size], bare_environment())
        self.store = Store(keys=[KEY], buckets=["signed"])
        shutil.copytree(self.plain, self.store.root / "signed/m", copy_function=os.link)
        self.store.rescan()
        self.store.settle()
        self.shards = sorted(p.name for p in self.plain.glob("*.safetensors"))
        self.bytes = sum(p.stat().st_size for p in self.plain.iterdir())

    def close(self):
        self.store.close()
        self.tmp.cleanup()

    def daemon(self):
        return Daemon(self.store, {"verify": "off", "logLevel": 2}, bucket="signed", prefix="m/", key=KEY)

    def load(self, way, directory, env):
        """Seconds from exec until all is loaded, and the digest."""
        began = time.monotonic()
        _, _, out = run([self.python, PROGRAM, way, directory], env)
        done, digest = out.split(b"\n", 1)
        return float(done) - began, digest

    def cold(self, way, cap):
        """The three times of one turn: ours, the download at the cap, the same run from the page cache."""
        local, want = self.load(way, self.plain, bare_environment())
        self.store.limits(total_bps=int(cap))
        try:
            with self.daemon() as d:
                began = self.store.counters()["bytes"]
                ours, got = self.load(way, d.model_dir, d.preload())
                brought = self.store.counters()["bytes"] - began
        finally:
            self.store.limits(total_bps=0)
        if got != want:
            raise Failed(f"{way}: another digest than from the local directory")
        if brought > 1.01 * self.bytes:
            raise Failed(f"{way}: {brought / self.bytes:.2f} times the model's bytes were downloaded")
        return {"ours": ours, "base": max(self.bytes / cap, local)}


def rows(bench):
    place = Place(bench.size)
    try:
        for way in WAYS:
            place.load(way, place.plain, bare_environment())  # for nothing: what it imports is at hand then
        for cap in CAPS:
            turns = bench.turns({WAYS[way]: (lambda way=way: place.cold(way, cap)) for way in WAYS})
            for name, got in turns.items():
                bench.row(f"{name}, cold, at {cap / 1e6:.0f} MB/s", "download or page cache, the slower", "s", got,
                          [("ratio", "<=", 1.1)], kind="cold", cap=cap / 1e6)
        second(bench, place)
        ranks(bench, place)
    finally:
        place.close()


def second(bench, place):
    """What another process has brought is loaded as from the page cache."""
    with place.daemon() as d:
        for way in WAYS:
            place.load(way, d.model_dir, d.preload())

        def turn(way):
            local, _ = place.load(way, place.plain, bare_environment())
            ours, _ = place.load(way, d.model_dir, d.preload(2))
            return {"ours": ours, "base": local}

        for name, got in bench.turns({WAYS[way]: (lambda way=way: turn(way)) for way in WAYS}).items():
            bench.row(f"{name}, a second process", "page cache", "s", got, [("ratio", "<=", 1.0)], kind="second")


def all_ranks(place, cap, nr, slices):
    """Seconds until each of `nr` processes has read all shards, or its slice of each."""
    place.store.limits(total_bps=int(cap))
    try:
        with place.daemon() as d:
            began, start = place.store.counters()["bytes"], time.monotonic()
            running = [subprocess.Popen([sys.executable, PROGRAM, "rank", d.model_dir, str(r), str(nr if slices else 1)],
                                        env=d.preload(1 if r == 0 else 2)) for r in range(nr)]
            ended = [p.wait(600) for p in running]
            took, brought = time.monotonic() - start, place.store.counters()["bytes"] - began
    finally:
        place.store.limits(total_bps=0)
    if any(ended):
        raise Failed(f"a rank ended with {max(ended)}")
    if not 0.99 * place.bytes <= brought <= 1.01 * place.bytes:
        raise Failed(f"{nr} ranks: {brought / place.bytes:.2f} times the model's bytes were downloaded")
    return took


def ranks(bench, place):
    cap = CAPS[0]

    def turn(slices):
        return {"ours": all_ranks(place, cap, RANKS, slices), "base": all_ranks(place, cap, 1, False)}

    contenders = {"read all shards": lambda: turn(False), "read their slices": lambda: turn(True)}
    for name, got in bench.turns(contenders).items():
        bench.row(f"{RANKS} ranks {name}, at {cap / 1e6:.0f} MB/s", "one rank", "s", got, [("ratio", "<=", 1.2)],
                  kind="ranks")
