"""What the bench makes of its rows: lines, goals, charts; and that it refuses what it does not know.  Nothing is measured."""
import json
import os
import subprocess
import sys
import xml.etree.ElementTree

import pytest

from daemon import BUILD, TOP
from store import Store

sys.path.insert(0, str(TOP / "test" / "bench"))

import charts  # noqa: E402
import measure  # noqa: E402
import table  # noqa: E402


def turn(ours, base, daemon=0.5):
    return {"ours": ours, "base": base, "base_cpu": 2.0, "cpu": {"reader": 0.1, "daemon": daemon, "store": 9.0}}


@pytest.fixture
def bench():
    b = measure.Bench(runs=3, size=1 << 30)
    b.set = "cold"
    return b


@pytest.fixture
def results(bench):
    """A canned run with rows of every set that has a chart."""
    for nr in (8, 64):
        for reader in ("C API map", "preloaded read"):
            for objects in ("one object", "eight objects"):
                bench.row(f"{reader} {nr}", "limit", "GB/s", [turn(0.9, 1.0)], protocol="http", connections=nr,
                          objects=objects, reader=reader)
    bench.set = "threads"
    bench.row("one object, 2 threads", "limit", "GB/s", [turn(1, 1)], objects="one object", vcpus=2)
    bench.set = "peers"
    for peer in ("slow & <old>", "fast"):
        for objects in ("one object", "eight objects"):
            bench.row(peer, "it", "GB/s", [turn(1, 0.2 if peer == "fast" else 0.1)], objects=objects, peer=peer)
    bench.set = "warm"
    bench.row("stat", "local file", "op/s", [{"ours": 3, "base": 1}], kind="warm")
    bench.set = "delay"
    bench.row("capped", "allowed", "GB/s", [turn(0.39, 0.4)], first_byte_ms=20, per_connection=25.0)
    return {"rows": bench.rows, "left_out": bench.left_out}


def test_a_row_has_the_medians_and_the_spread_of_its_turns(bench):
    row = bench.row("r", "limit", "GB/s", [turn(1.0, 1.0), turn(0.8, 1.0, 0.7), turn(1.8, 2.0)],
                    [("ratio", ">=", 0.95), ("cpu", "<=", 0.6), ("cpu_ratio", "<", 0.5)])
    assert row["ratio"] == 0.9 and row["spread"] == [0.8, 1.0] and row["ours"] == 1.0
    assert row["cpu"] == pytest.approx(0.6) and row["cpu_of"]["store"] == 9.0 and row["cpu_ratio"] == pytest.approx(0.3)
    assert [g["met"] for g in row["goals"]] == [False, True, True]
    line = table.line(row)
    assert "0.90" in line and "0.80..1.00" in line and ">= 0.95: NO" in line and "CPU ratio < 0.5: yes" in line


def test_contenders_take_turns_and_one_that_fails_is_left_out_with_the_reason(bench):
    seen = []

    def good():
        seen.append("good")
        return 1

    def bad():
        seen.append("bad")
        if seen.count("bad") == 2:
            raise measure.Failed("it broke")
        return 2
    assert bench.turns({"good": good, "bad": bad}) == {"good": [1, 1, 1]}
    assert seen == ["good", "bad", "good", "bad", "good"]
    assert bench.left_out == [{"set": "cold", "name": "bad", "reason": "it broke"}]
    assert table.line(bench.left_out[0]).split() == ["bad", "left", "out:", "it", "broke"]


def test_the_summary_names_the_goals_that_were_missed(bench):
    bench.row("good", "limit", "GB/s", [turn(1, 1)], [("ratio", ">=", 0.9)])
    bench.row("slow", "limit", "GB/s", [turn(0.5, 1)], [("ratio", ">=", 0.9)])
    text = table.summary(bench.rows, [{"name": "s3fs"}], 60)
    assert "1 of 2 goals" in text and "cold: slow" in text and "cold: good" not in text and "left out: s3fs" in text


def test_every_chart_is_drawn_and_is_xml_that_fits_its_page(results, tmp_path):
    charts.draw(results, tmp_path)
    assert sorted(p.stem for p in tmp_path.iterdir()) == sorted(charts.CHARTS)
    for path in tmp_path.iterdir():
        root = xml.etree.ElementTree.parse(path).getroot()
        width, height = float(root.get("width")), float(root.get("height"))
        assert "prefers-color-scheme: dark" in path.read_text()
        for box in root.iter("{http://www.w3.org/2000/svg}rect"):
            x, y = float(box.get("x", 0)), float(box.get("y", 0))
            assert 0 <= x and x + float(box.get("width")) <= width, path.name
            assert 0 <= y and y + float(box.get("height")) <= height, path.name
    assert "slow &amp; &lt;old&gt;" in (tmp_path / "peers.svg").read_text()


def test_bars_are_as_long_as_their_values(results):
    root = xml.etree.ElementTree.fromstring(charts.peers(results))
    bars = [float(r.get("width")) for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("class") in ("f0", "f1")]
    long, short = bars[0], bars[2]  # ours, then the fastest peer
    assert short == pytest.approx(long * 0.2, abs=0.2)


def test_a_chart_without_rows_is_not_written(tmp_path):
    charts.draw({"rows": [], "left_out": []}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_committed_charts_are_those_of_the_committed_results(tmp_path):
    here = TOP / "test" / "bench"
    subprocess.run([TOP / "scripts/bench", "--charts", here / "results.json", tmp_path], check=True)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == \
        {p.name: p.read_text() for p in (here / "charts").iterdir()}


def test_the_limit_program_takes_every_byte_plain_and_by_tls(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    size = (5 << 20) + 17
    with Store(keys=[], buckets=["open"], tls=(cert, key)) as store:
        for name in "ab":
            store.synth(f"open/{name}", size)
        for option, where in ([], store.http), (["--tls"], store.https_endpoint.split("//")[1]):
            store.reset()
            out = subprocess.run([BUILD / "test/bench/limit", *option, where, "3", str(1 << 20), str(size), "/open/a", "/open/b"],
                                 capture_output=True, check=True)
            assert json.loads(out.stdout)["bytes"] == 2 * size
            counted = store.counters()
            assert sum(k["bytes"] for k in counted["by_key"].values()) == 2 * size
            assert counted["requests"]["GET"] == 12 and counted["connections_total"] <= 4


@pytest.mark.parametrize("env, words", [
    ({"BENCH_ROWS": "cold,nonsense"}, "nonsense"), ({"BENCH_ROWS": ","}, "BENCH_ROWS"),
    ({"BENCH_RUNS": "many"}, "many"), ({"BENCH_BYTES": "0"}, "BENCH_BYTES"),
])
def test_what_it_does_not_know_is_one_clear_line(env, words):
    out = subprocess.run([TOP / "scripts/bench"], env={**os.environ, **env}, capture_output=True, text=True, timeout=60)
    assert out.returncode == 1 and out.stdout == ""
    assert len(out.stderr.splitlines()) == 1 and words in out.stderr and out.stderr.startswith("bench: ")
