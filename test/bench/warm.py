"""Rows of programs that measure by themselves: scripts/bench-warm (what is at hand, beside a local file in the page
cache) and cards.py (several network cards, beside their sum)."""
import json
import os
import subprocess
import tempfile

from measure import TOP, Failed


def of_program(argv, **env):
    """The rows that a program writes to the file $BENCH_JSON."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env={**os.environ, "BENCH_JSON": out.name, **env})
        if done.returncode != 0:
            raise Failed(f"{argv[-1].name} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        return json.load(out), done.stdout


def rows(bench):
    for row in of_program([TOP / "scripts/bench-warm"], BENCH_RUNS=str(bench.runs))[0]:
        if "us" in row:
            # As rates, so that above 1 the library is the faster one.
            turns = [{"ours": 1e6 / row["us"], "base": 1e6 / row["us"] / ratio} for ratio in row["runs"]]
            goals = [("ratio", ">=", row["goal"])] if row["goal"] else []
            bench.row(row["name"], "local file", "op/s", turns, goals, kind="warm")
        elif "ratio" in row:
            goals = [("ratio", "<=", row["goal"])] if row.get("goal") else []
            bench.row(row["name"], "no library", "times", [{"ours": row["ratio"], "base": 1.0}], goals, kind="start")


def card_rows(bench):
    found, said = of_program([TOP / "test/bench/cards.py"], CARDS_RUNS=str(bench.runs), CARDS_SECONDS="20")
    for row in found:
        goals = [("ratio", ">=", row["goal"])] if row["goal"] else []
        bench.row(row["name"], "sum of the cards", "share", [{"ours": r["ratio"], "base": 1.0} for r in row["runs"]], goals)
    if not found:
        bench.leave_out("cards", said.strip().splitlines()[-1])
