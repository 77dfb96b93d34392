"""Cost against size: CPU seconds of client and daemon for one unit of work, at a large number beside a small one.

Nothing may grow faster than its work: the ratio of large to small is 1, or less where a fixed part is shared out.
"""
import resource
import subprocess
import sys

from measure import BUILD, KEY, Daemon, Failed, Store, cpu_seconds, run

GB = 10**9
MOST = 1.3  # of the cost of a unit: what is noise on a busy machine

OPEN_MANY = """
import os, sys
fds = [os.open(os.path.join(sys.argv[1], f"dir-0000000/file-{i:09d}.bin"), os.O_RDONLY) for i in range(int(sys.argv[2]))]
for fd in fds:
    if len(os.pread(fd, 100, 0)) != 100:
        sys.exit("short")
"""


def mounted(store, prefix, **conf):
    return Daemon(store, {"verify": "off", "logLevel": 2, **conf}, bucket="signed", prefix=prefix, key=KEY)


def cost(d, argv, env, units, **more):
    """CPU seconds a unit, of a program and what the daemon does for it."""
    before = cpu_seconds(d.pid)
    _, cpu, _ = run(argv, env, **more)
    return (cpu + cpu_seconds(d.pid) - before) / units


def compare(bench, name, unit, small, large, measure):
    """measure(n) -> cost of a unit at n of them."""
    found = bench.turns({"small": lambda: measure(small), "large": lambda: measure(large)})
    if len(found) == 2:
        bench.row(f"{name}: {large:,}", f"{small:,}", unit,
                  [{"ours": b, "base": a} for a, b in zip(found["small"], found["large"])], [("ratio", "<=", MOST)])


def bytes_rows(bench, store):
    def read(gb):
        with mounted(store, f"gb{gb}/", cache={"size": "512MiB"}) as d:
            return cost(d, ["dd", f"if={d.path('w.bin')}", "of=/dev/null", "bs=1M", "status=none"], d.preload(), gb)

    for gb in (1, 10, 100):
        store.synth(f"signed/gb{gb}/w.bin", gb * GB, gb)
    store.settle()
    for gb in (10, 100):
        compare(bench, "GB read through a cache of 512 MiB", "CPU s/GB", 1, gb, read)


def object_size_row(bench, store):
    """Milliseconds for the last MiB of an object: its tables are made, one chunk is fetched."""
    def last(gib):
        with mounted(store, f"last{gib}/", cache={"size": "512MiB"}) as d:
            run(["stat", d.path()], d.preload())
            return 1000 * cost(d, ["tail", "-c", "1000000", d.path("w.bin")], d.preload(), 1)

    for gib in (1, 5120):
        store.synth(f"signed/last{gib}/w.bin", gib << 30, gib)
    found = bench.turns({"small": lambda: last(1), "large": lambda: last(5120)})
    if len(found) == 2:
        # Not per unit: 5,120 times the object may cost its tables, which take no second.
        bench.row("the last bytes of an object: 5 TiB beside 1 GiB", "1 GiB", "CPU ms",
                  [{"ours": b, "base": a} for a, b in zip(found["small"], found["large"])], [("ours", "<=", 1000)])


def files_rows(bench, store):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = min(10000, limit // 2 - 2000)  # the daemon has two descriptors for each
    store.tree("signed", most, dirs=1, prefix="open/", size=100, size_max=100)

    def opened(count):
        with mounted(store, "open/") as d:
            run(["stat", d.path()], d.preload())
            argv = ["sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh", sys.executable, "-c", OPEN_MANY, d.path(), count]
            # What a Python costs that opens nothing is no work of ours.
            idle = cost(d, argv[:-1] + [0], d.preload(), 1)
            return 1e6 * (cost(d, argv, d.preload(), 1) - idle) / count

    compare(bench, "files open at the same time", "CPU us a file", 1000, most, opened)


def clients_rows(bench, store):
    store.synth("signed/clients/w.bin", 1 << 20, 1)

    def read(count):
        with mounted(store, "clients/") as d:
            run(["cat", d.path("w.bin")], d.preload())
            argv = ["sh", "-c", 'echo | "$@" >/dev/null', "sh", BUILD / "test/programs/many_clients", d.path("w.bin"), count]
            return 1000 * cost(d, argv, d.preload(), count)

    for count in (100, 1000):
        compare(bench, "client processes at the same time", "CPU ms a client", 10, count, read)


def connections_rows(bench, store):
    store.synth("signed/conn/w.bin", 8 * GB, 3)
    store.settle()

    def read(count):
        conf = {"prefetch": {"vcpus": min(4, count), "workers": max(count // 4, 1)}}
        with mounted(store, "conn/", cache={"size": "2GiB"}, **conf) as d:
            return cost(d, ["dd", f"if={d.path('w.bin')}", "of=/dev/null", "bs=1M", "status=none"], d.preload(), 8)

    for count in (64, 1024):
        compare(bench, "connections allowed", "CPU s/GB", 4, count, read)


def keys_rows(bench, store):
    for keys in (100000, 1000000):
        store.tree("signed", keys, dirs=keys // 1000, prefix=f"keys{keys}/", size=1, size_max=1 << 30)

    def listed(keys):
        with mounted(store, f"keys{keys}/") as d:
            return 1e6 * cost(d, [BUILD / "ossc", "ls", "-R"], d.env(), keys, stdout=subprocess.DEVNULL)

    def walked(command):
        def walk(keys):
            with mounted(store, f"keys{keys}/") as d:
                run([BUILD / "ossc", "mount"], d.env())  # which waits for all of the listing
                return 1e6 * cost(d, [*command, d.path()], d.preload(), keys, stdout=subprocess.DEVNULL)
        return walk

    compare(bench, "keys listed, ossc ls -R", "CPU us a key", 100000, 1000000, listed)
    compare(bench, "keys walked, find", "CPU us a key", 100000, 1000000, walked(["find"]))
    compare(bench, "keys walked, ls -lR", "CPU us a key", 100000, 1000000, walked(["ls", "-lR"]))


def rows(bench):
    with Store(keys=[KEY], buckets=["signed"]) as store:
        for some in (keys_rows, files_rows, clients_rows, object_size_row, connections_rows, bytes_rows):
            try:
                some(bench, store)
            except Failed as why:
                bench.leave_out(some.__name__.replace("_", " "), str(why))
