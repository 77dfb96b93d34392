"""A distant store behind a narrow card: what share of what they allow is reached; and small files.

What is allowed: the card's rate, or what so many connections bring (each asks for a chunk, waits for its first
byte, and gets the rest at its cap), whichever is less; after a listing and one first byte, which must come first.
Prefetch has its default number of connections, 16 for each core.
"""
import subprocess
import sys
import time

from measure import (CHUNK, CORES, KEY, ONE, Failed, Store, by_dd, model_store, mounted, read_cold, run,
                     threads_of)

CONNECTIONS = 16 * CORES
CARD = 400e6  # bytes a second that two cores serve and load with ease
FILES, DELAY_MS = 10000, 20


def allowed(size, first_byte_ms, per_connection, card):
    """GB/s of a whole load."""
    delay = first_byte_ms / 1000
    rate = min(card, CONNECTIONS * CHUNK / (CHUNK / per_connection + delay))
    return size / 1e9 / (size / rate + 2 * delay)


def capped(store, size, first_byte_ms, per_connection, card):
    store.limits(first_byte_ms=first_byte_ms, per_connection_bps=int(per_connection),
                 total_bps=int(card) if card < 1e12 else 0)
    try:
        ours = read_cold(store, ONE, size, threads_of(CONNECTIONS), by_dd)
    finally:
        store.limits(first_byte_ms=0, per_connection_bps=0, total_bps=0)
    return {"ours": ours["gb_per_s"], "base": allowed(size, first_byte_ms, per_connection, card), "cpu": ours["cpu"]}


def rows(bench):
    with model_store(bench.size) as store:
        read_cold(store, ONE, bench.size, threads_of(CONNECTIONS), by_dd)  # for nothing
        contenders, facts = {}, {}
        for cap in (25e6, 100e6, 400e6):
            for ms in (1, 20, 100):
                name = f"{cap / 1e6:.0f} MB/s a connection, first byte after {ms} ms, card 400 MB/s"
                contenders[name] = lambda a=(ms, cap, CARD): capped(store, bench.size, *a)
                facts[name] = {"first_byte_ms": ms, "per_connection": cap / 1e6}
        contenders["25 MB/s a connection, first byte after 20 ms, no limit of the card"] = lambda: capped(
            store, bench.size, 20, 25e6, 1e12)
        for name, turns in bench.turns(contenders).items():
            bench.row(name, "allowed", "GB/s", turns, [("ratio", ">=", 0.95)], **facts.get(name, {}))
    first_read(bench)


# Opens the file that it is told of, reads its beginning, and tells how long that took.
OPEN_AND_READ = """
import os, sys, time
for line in sys.stdin:
    begun = time.monotonic()
    nr = len(os.pread(os.open(line.strip(), os.O_RDONLY), 4096, 0))
    print(time.monotonic() - begun if nr == 4096 else 1e9, flush=True)
"""


def by_socket(store, path):
    """Seconds until a new connection has brought the first 4 KiB of the chunk that they are in."""
    begun = time.monotonic()
    with store.connect() as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: {store.http}\r\nRange: bytes=0-{CHUNK - 1}\r\n\r\n".encode())
        got = b""
        while len(got.partition(b"\r\n\r\n")[2]) < 4096:
            got += s.recv(65536)
    return time.monotonic() - begun


def first_read(bench):
    """The first 4 KiB of a cold object of 40 GB, by a program that runs, while 256 other requests are under way."""
    wanted = 256
    with Store(keys=[KEY], anonymous=["open"], buckets=["signed", "open"]) as store:
        store.synth("signed/two/busy.bin", 40 << 30, 1)
        store.synth("signed/two/first.bin", 40 << 30, 2)
        store.synth("open/first.bin", 40 << 30, 2)
        store.settle()
        store.limits(first_byte_ms=50, per_connection_bps=1_000_000)

        beside = []

        def turn():
            with mounted(store, ["two/x"], {"cache": {"size": "4GiB"}, **threads_of(wanted)}) as d:
                busy = subprocess.Popen(["dd", f"if={d.path('busy.bin')}", "of=/dev/null", "bs=1M"], env=d.preload(),
                                        stderr=subprocess.DEVNULL)
                reader = subprocess.Popen([sys.executable, "-c", OPEN_AND_READ], env=d.preload(2), text=True,
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                try:
                    # It asks for more as long as more brings more: most of the 256 are a matter of seconds.
                    begun, seen = time.monotonic(), 0
                    while seen < wanted * 0.9 and time.monotonic() < begun + 30:
                        time.sleep(0.05)
                        seen = store.counters()["in_flight"]
                    if seen < 16:
                        raise Failed(f"only {seen} requests came under way")
                    plain = by_socket(store, "/open/first.bin")
                    took, _ = reader.communicate(d.path("first.bin") + "\n", timeout=60)
                    if reader.returncode != 0:
                        raise Failed("the reader ended with an error")
                finally:
                    for p in (busy, reader):
                        p.kill()
                        p.wait()
            beside.append(seen)
            return {"ours": float(took) * 1000, "base": plain * 1000}

        name = "open and read 4 KiB of a cold object of 40 GB, in a running program"
        for name, turns in bench.turns({name: turn}).items():
            bench.row(f"{name}, beside {min(beside)} requests", "a plain socket", "ms", turns, [("ratio", "<=", 1.2)])


def small_rows(bench):
    """A directory of small files, read whole by find and cat; all of it is on its way after the first open."""
    with Store(keys=[KEY], buckets=["signed"]) as store:
        total = 0
        for first in range(0, FILES, 1000):
            batch = [{"bucket": "signed", "key": f"small/f{i:05}", "size": (4 << 10) + i * 7919 % (60 << 10), "seed": i}
                     for i in range(first, first + 1000)]
            total += sum(b["size"] for b in batch)
            store.control("synth", batch)
        store.settle()
        store.limits(first_byte_ms=DELAY_MS)

        def turn():
            with mounted(store, ["small/x"], threads_of(CONNECTIONS)) as d:
                took, _, out = run(["sh", "-c", 'find "$0" -type f -exec cat {} + | wc -c', d.path()], d.preload())
            if int(out) != total:
                raise Failed(f"find and cat gave {int(out)} bytes, not {total}")
            return {"ours": took, "base": FILES * DELAY_MS / 1000 / CONNECTIONS}

        name = f"{FILES} files of 4 to 64 KiB, {CONNECTIONS} connections"
        for name, turns in bench.turns({name: turn}).items():
            bench.row(name, "count x delay / connections", "s", turns, [("ratio", "<=", 1.2)])
