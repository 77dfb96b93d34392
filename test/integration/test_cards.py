"""Several network cards: bytes come by all of them; one that dies is left out and used again.

Judged by bytes and connections for each address, as the store and `ossc status` count them."""
import contextlib
import json
import subprocess
import time

import pytest

import cards
from conftest import KEY
from daemon import Daemon
from store import Store

MiB = 1 << 20
RATE = 20e6
WHY_NOT = cards.why_not()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

# Small chunks and few connections: what a dead card holds is little.  Short time-outs, so that a
# story does not wait for the defaults.
CONF = {"verify": "off", "cache": {"chunkSize": "1MiB", "size": "1GiB"}, "prefetch": {"vcpus": 2, "workers": 4},
        "network": {"connectTimeoutSec": 1, "idleTimeoutSec": 1}}


@contextlib.contextmanager
def node(count, size, rate=RATE, conf=None, **options):
    """A node with so many cards, a store beyond them with one object a.bin, a daemon."""
    with cards.Cards(count, rate, **options) as c, contextlib.ExitStack() as stack:
        with c.at("store"):
            store = Store("--listen", "0.0.0.0:0", keys=[KEY], buckets=["models"])
            stack.callback(in_namespace(c, "store", store.close))
            store.synth("models/m/a.bin", size)
        with c.at("node"):
            d = Daemon(store, conf or CONF, prefix="m/", key=KEY,
                       endpoint=f"http://{cards.STORE}:{store.http.rsplit(':', 1)[1]}")
            yield c, stack.enter_context(d), lambda: bytes_by_card(c, store)


def in_namespace(c, name, call):
    def inside():
        with c.at(name):
            call()
    return inside


def bytes_by_card(c, store):
    with c.at("store"):
        by_source = store.counters()["by_source"]
    return [by_source.get(a, {"bytes": 0})["bytes"] for a in c.addresses]


def shown(d):
    return {s["address"]: s for s in d.status()["sources"]}


def begin(c, d):
    return subprocess.Popen(["cat", d.path("a.bin")], env=d.preload(HTTP_SOURCE_IP=c.source_ip),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(reader, size):
    got = 0
    while piece := reader.stdout.read(MiB):
        got += len(piece)
    assert (reader.wait(60), got) == (0, size), reader.stderr.read()


def wait_until(true, what, timeout=60):
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


@pytest.mark.parametrize("count", [2, 4])
def test_every_card_carries_its_share(count):
    size = count * 8 * MiB
    with node(count, size) as (c, d, by_card):
        finish(begin(c, d), size)
        carried, status = by_card(), shown(d)
        assert sum(carried) >= size and min(carried) >= MiB, carried
        for address, nr in zip(c.addresses, carried):
            assert status[address]["bytes"] <= nr and not status[address]["out"], status
            assert status[address]["connections"] > 0 and status[address]["errors"] == 0, status


@pytest.mark.parametrize("death", ["deaf", "down"])
def test_a_card_that_dies_is_left_out_and_used_again_when_it_is_back(death):
    size = 900 * MiB  # more than comes while this looks on
    with node(2, size, rate=10e6) as (c, d, by_card):
        reader = begin(c, d)
        dead = c.addresses[1]
        wait_until(lambda: shown(d).get(dead, {"bytes": 0})["bytes"] > 2 * MiB, lambda: d.status())
        (c.stop_hearing if death == "deaf" else c.set_down)(1)
        wait_until(lambda: shown(d)[dead]["out"], lambda: shown(d))
        out = shown(d)
        assert out[dead]["errors"] > 0 and not out[c.addresses[0]]["out"], out
        # The other goes on without it.
        wait_until(lambda: shown(d)[c.addresses[0]]["bytes"] > out[c.addresses[0]]["bytes"] + 4 * MiB,
                   lambda: shown(d))
        silent = by_card()[1]
        (c.hear_again if death == "deaf" else c.set_up)(1)
        wait_until(lambda: not shown(d)[dead]["out"] and shown(d)[dead]["bytes"] > out[dead]["bytes"] + 2 * MiB,
                   lambda: shown(d))
        assert by_card()[1] > silent
        reader.stdout.close()  # it is back: the rest need not be waited for
        reader.kill()
        reader.wait()
        reader.stderr.close()


def test_a_load_finishes_though_a_card_dies_for_good():
    size = 48 * MiB
    with node(2, size) as (c, d, by_card):
        reader = begin(c, d)
        wait_until(lambda: shown(d).get(c.addresses[1], {"bytes": 0})["bytes"] > 4 * MiB, lambda: d.status())
        c.stop_hearing(1)
        finish(reader, size)
        status = shown(d)
        assert status[c.addresses[0]]["bytes"] > status[c.addresses[1]]["bytes"], status
        assert sum(s["bytes"] for s in status.values()) < size + 16 * MiB, status  # nothing came twice


def test_without_routes_of_their_own_all_addresses_use_one_card():
    """What the kernel does, and what doctor warns of."""
    with node(2, 8 * MiB, rate=0, routed=False) as (c, d, by_card):
        out = d.ossc("doctor", env={"HTTP_SOURCE_IP": c.source_ip})
        warned = [line for line in out.stdout.decode().splitlines() if "ip rule" in line]
        assert len(warned) == 1 and c.addresses[1] in warned[0] and warned[0].startswith("warn"), out.stdout
    with node(2, 8 * MiB, rate=0) as (c, d, by_card):
        out = d.ossc("doctor", env={"HTTP_SOURCE_IP": c.source_ip})
        assert b"ip rule" not in out.stdout, out.stdout


def test_addresses_are_shown_as_json_and_as_a_table():
    with node(2, 4 * MiB) as (c, d, by_card):
        finish(begin(c, d), 4 * MiB)
        table = d.ossc("status").stdout.decode()
        for address, one in shown(d).items():
            assert set(one) == {"address", "in_flight", "connections", "bytes", "errors", "out", "out_ms"}
            assert any(line.split()[:1] == [address] and "in use" in line for line in table.splitlines()), table
        assert json.loads(d.ossc("status", "--json").stdout)["sources"][0]["out_ms"] == 0
