#!/usr/bin/env python3
"""Several network cards: what a download reaches, as a ratio to the sum of what its cards can carry.

Namespaces, virtual cards and token buckets, see test/integration/cards.py; the limits are low, so
that no CPU is the limit.  A card's limit is of whole packets, headers included (0.7 % with packets
of 9000 bytes).  Needs root.  CARDS_RATE: bytes a second of one card (default 30e6); CARDS_SECONDS:
what one run takes at the least (default 20); CARDS_RUNS (default 3).

rows() returns a list of {"name", "goal", "ratio", "runs": [...]}.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from cards import STORE, Cards, why_not  # noqa: E402
from conftest import KEY  # noqa: E402
from daemon import Daemon  # noqa: E402
from store import Store  # noqa: E402

RATE = float(os.environ.get("CARDS_RATE", 30e6))
SECONDS = float(os.environ.get("CARDS_SECONDS", 20))
RUNS = int(os.environ.get("CARDS_RUNS", 3))


class Load:
    """One cold read of one object of `size` bytes by `count` cards; `during` may do things to them."""

    def __init__(self, count, size, during=None):
        self.count, self.size, self.during = count, int(size), during

    def run(self):
        with Cards(self.count, RATE) as self.cards:
            with self.cards.at("store"):
                store = Store("--listen", "0.0.0.0:0", keys=[KEY], buckets=["models"])
                store.synth("models/m/a.bin", self.size)
            try:
                with self.cards.at("node"):
                    return self._read(store)
            finally:
                with self.cards.at("store"):
                    store.close()

    def _read(self, store):
        endpoint = f"http://{STORE}:{store.http.rsplit(':', 1)[1]}"
        with Daemon(store, {"verify": "off", "logLevel": 2}, prefix="m/", key=KEY, endpoint=endpoint) as self.daemon:
            begun = time.monotonic()
            reader = subprocess.Popen(["dd", f"if={self.daemon.path('a.bin')}", "of=/dev/null", "bs=1M"],
                                      env=self.daemon.preload(HTTP_SOURCE_IP=self.cards.source_ip),
                                      stderr=subprocess.PIPE)
            before = self.received()
            ideal = self.during(self) if self.during else self.size / (self.count * RATE)
            words = reader.communicate()[1]
            if reader.returncode != 0:
                raise SystemExit(f"cards: {words.decode()}")
            seconds = time.monotonic() - begun
            sources = self.daemon.status()["sources"]
        carried = [s["bytes"] - b for s, b in zip(sources, before or [0] * self.count)]
        return {"seconds": seconds, "ratio": ideal / seconds,
                "by_card": [c / seconds / RATE for c in carried], "errors": [s["errors"] for s in sources]}

    def received(self):
        return [s["bytes"] for s in self.daemon.status()["sources"]]


def dies_and_comes_back(load):
    """The second card hears nothing for a while.  Returns what the load should take, in seconds."""
    time.sleep(SECONDS / 4)
    load.cards.stop_hearing(1)
    time.sleep(SECONDS / 2)
    load.cards.hear_again(1)
    return (load.size + RATE * SECONDS / 2) / (2 * RATE)


def dies(load):
    """For good."""
    time.sleep(SECONDS / 4)
    load.cards.stop_hearing(1)
    return SECONDS / 4 + (load.size - 2 * RATE * SECONDS / 4) / RATE


def row(name, goal, load):
    runs = [load.run() for _ in range(RUNS)]
    ratio = statistics.median(r["ratio"] for r in runs)
    print(f"{name:<44}{ratio:>7.3f}  {min(r['ratio'] for r in runs):.3f}..{max(r['ratio'] for r in runs):.3f}"
          f"   goal {goal}   by card {' '.join(f'{x:.2f}' for x in runs[-1]['by_card'])}", flush=True)
    return {"name": name, "goal": goal, "ratio": ratio, "runs": runs}


def rows():
    reason = why_not()
    if reason is not None:
        print(f"cards: left out, {reason}")
        return []
    size = RATE * SECONDS
    found = [row(f"cards: {n} of {RATE / 1e6:.0f} MB/s", 0.95, Load(n, n * size)) for n in (1, 2, 4)]
    found.append(row("cards: 1 of 2 dead for half of the time", None, Load(2, 2 * size, dies_and_comes_back)))
    found.append(row("cards: 1 of 2 dies for good", None, Load(2, 2 * size, dies)))
    return found


if __name__ == "__main__":
    print(f"{'':<44}{'ratio':>7}  {'spread':<14}")
    result = rows()
    if os.environ.get("BENCH_JSON"):
        pathlib.Path(os.environ["BENCH_JSON"]).write_text(json.dumps(result, indent=1))
