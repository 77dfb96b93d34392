"""The rows of scripts/bench-warm: how much faster than a local file in the page cache."""
import json
import os
import subprocess
import tempfile

from measure import TOP, Failed


def rows(bench):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        done = subprocess.run([TOP / "scripts/bench-warm"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              env={**os.environ, "BENCH_JSON": out.name, "BENCH_RUNS": str(bench.runs)})
        if done.returncode != 0:
            raise Failed(f"bench-warm ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        for row in json.load(out):
            report(bench, row)


def report(bench, row):
    """It has ratios of its own: local / ours, and for the start of a program with / without the library."""
    if "us" not in row:
        turns, goal = [{"ours": row["ratio"], "base": 1.0}], ("ratio", "<=", row["goal"])
        bench.row(row["name"], "no library", "times", turns, [goal], kind="start")
        return
    # As rates, so that above 1 the library is the faster one.
    turns = [{"ours": 1e6 / row["us"], "base": 1e6 / row["us"] / ratio} for ratio in row["runs"]]
    bench.row(row["name"], "local file", "op/s", turns, [("ratio", ">=", row["goal"])] if row["goal"] else [], kind="warm")
