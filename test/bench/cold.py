"""Cold reads beside the limit program: every way to read, over 1 to 256 connections, plain and by TLS; and threads.

The limit runs just before each read, over as many connections.  BENCH_CONNECTIONS and BENCH_PROTOCOLS
(comma-separated) take a part of the rows.
"""
import os

from measure import CORES, EIGHT, ONE, by_capi, by_dd, by_mmap, limit, model_store, read_cold, threads_of

READERS = [("C API map", by_capi("map"), 0.95), ("C API pread", by_capi("pread"), 0.95),
           ("preloaded read", by_dd, 0.85), ("preloaded mmap", by_mmap, 0.85)]
OBJECTS = {"one object": ONE, "eight objects": EIGHT}
MOST_CPU = 0.65  # daemon and reader, plain HTTP, verify: off


def chosen(name, every):
    """What an environment variable names of these."""
    asked = os.environ.get(name, ",".join(every)).split(",")
    wrong = [a for a in asked if a not in every]
    if wrong:
        raise SystemExit(f"bench: {name}: there is no {', '.join(wrong)}; it may name {', '.join(every)}")
    return asked


def beside_limit(store, names, size, connections, conf, reader, tls=False):
    """One turn: the limit, then the cold read."""
    raw = limit(store, names, size, connections, tls)
    ours = read_cold(store, names, size, conf, reader, tls)
    return {"ours": ours["gb_per_s"], "base": raw["gb_per_s"], "cpu": ours["cpu"], "base_cpu": raw["cpu_s_per_gb"]}


def cross(store, size, protocols, connections):
    """Every combination, as {what charts sort by: function}."""
    for protocol in protocols:
        for nr in connections:
            for objects, names in OBJECTS.items():
                for reader, how, goal in READERS:
                    at = {"protocol": protocol, "connections": int(nr), "objects": objects, "reader": reader}
                    yield at, goal, lambda names=names, nr=int(nr), how=how, tls=protocol == "https": beside_limit(
                        store, names, size // len(names), nr, threads_of(nr), how, tls)


def rows(bench):
    protocols = chosen("BENCH_PROTOCOLS", ["http", "https"])
    connections = chosen("BENCH_CONNECTIONS", ["1", "8", "64", "256"])
    with model_store(bench.size, tls="https" in protocols) as store:
        # For nothing: memory that this machine has not used yet is slow for whoever comes first.
        beside_limit(store, ONE, bench.size, 64, threads_of(64), by_capi("pread"))
        every = list(cross(store, bench.size, protocols, connections))
        answers = bench.turns({row_name(at): measure for at, _, measure in every})
        for at, goal, _ in every:
            if row_name(at) in answers:
                goals = [("ratio", ">=", goal)] + ([("cpu", "<=", MOST_CPU)] if at["protocol"] == "http" else [])
                bench.row(row_name(at), "limit", "GB/s", answers[row_name(at)], goals, **at)


def row_name(at):
    return f"{at['protocol']}, {at['connections']} connections, {at['objects']}, {at['reader']}"


def verified(store, size):
    """One turn: without the check of every object's CRC-64, then with it."""
    off, on = (read_cold(store, ONE, size, {"verify": word, **threads_of(64)}, by_capi("pread")) for word in ("off", "on"))
    return {"ours": on["gb_per_s"], "base": off["gb_per_s"], "cpu": on["cpu"],
            "base_cpu": off["cpu"]["reader"] + off["cpu"]["daemon"]}


def thread_rows(bench):
    """One object and eight with 1, 2, 4 and all network threads, 64 connections in all; and what `verify: on` costs."""
    with model_store(bench.size) as store:
        beside_limit(store, ONE, bench.size, 64, threads_of(64), by_capi("pread"))
        wanted = sorted({1, 2, 4, CORES})
        contenders = {}
        for vcpus in wanted:
            if vcpus > CORES:
                bench.leave_out(f"{vcpus} threads", f"this machine has {CORES} cores")
                continue
            for objects, names in OBJECTS.items():
                contenders[objects, vcpus] = lambda names=names, vcpus=vcpus: beside_limit(
                    store, names, bench.size // len(names), 64, threads_of(64, vcpus), by_capi("pread"))
        for (objects, vcpus), turns in bench.turns(contenders).items():
            bench.row(f"{objects}, {vcpus} threads", "limit", "GB/s", turns, objects=objects, vcpus=vcpus)
        for name, turns in bench.turns({"one object, verify: on": lambda: verified(store, bench.size)}).items():
            bench.row(name, "verify: off", "GB/s", turns, [("cpu", "<=", MOST_CPU)])
