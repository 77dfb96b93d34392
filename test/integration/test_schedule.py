"""Who is served next, and how much at a time: told by the store's counters, not by the clock."""
import resource

from conftest import KEY
from daemon import Daemon

MiB = 1 << 20


def test_the_first_read_of_a_cold_object_passes_all_that_is_under_way(start_daemon, store):
    """What was asked for before never ends: a reader who had to wait for any of it would wait for ever."""
    workers = 32  # all are used at once; more would be tried out first
    store.synth("models/m/busy.bin", 40 << 30, 1)
    store.synth("models/m/first.bin", 40 << 30, 2)
    store.fault("GET models/m/busy.bin", "drip", bps=100)
    d = start_daemon({"prefetch": {"vcpus": 1, "workers": workers}, "cache": {"size": "2GiB"}}, prefix="m/")
    # A prefetch beside the reader's own file, which is larger than the cache.
    assert d.ossc("prefetch", "busy.bin").returncode == 0
    busy = store.wait_for(lambda c: c["in_flight"] == workers)["in_flight"]
    out = d.run("head", "-c", "100000", d.path("first.bin"), timeout=60)
    assert out.returncode == 0, out.stderr
    assert len(out.stdout) == 100000
    # None of them has ended, and the reader's chunk was asked for once.
    assert store.counters("models/m/busy.bin")["requests"] >= busy
    assert store.counters()["in_flight"] >= busy
    ranges = store.counters("models/m/first.bin")["ranges"]
    assert ranges.count([0, 8 * MiB - 1]) == 1


def test_more_files_than_descriptors_are_read_one_after_the_other(store):
    """Files that nobody has open make room, before the descriptors are used up."""
    files = {f"f{i:03d}": b"file %d\n" % i for i in range(600)}
    for name, data in files.items():
        store.write_file(f"models/s/{name}", data)
    store.rescan()

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))

    with Daemon.unstarted(store, prefix="s/", key=KEY) as d:
        out = d.run("cat", *(d.path(name) for name in files), preexec_fn=few)
        assert out.returncode == 0, out.stderr
        assert out.stdout == b"".join(files.values())
