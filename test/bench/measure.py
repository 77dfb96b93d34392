"""What all sets of rows share: turns, CPU accounts, rows with their goals, and the store and daemon to measure.

A set is a module with rows(bench): it measures by bench.turns(), says what came out by bench.row(), and
names what cannot run here by bench.leave_out().  scripts/bench has the list of sets.
"""
import contextlib
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "test" / "integration"))

from daemon import BUILD, Daemon, cpu_seconds  # noqa: E402
from store import Store  # noqa: E402

KEY = ("LTAI5tTestAccessKeyId0001", "TestSecret0123456789abcdefABCDEF")
CHUNK = 8 << 20
CORES = len(os.sched_getaffinity(0))
ONE = ["one/one.bin"]
EIGHT = [f"eight/part-{i}.bin" for i in range(8)]
HOLDS = {">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, "<": lambda a, b: a < b}


class Failed(Exception):
    """What was measured did not do its work; the text says why."""


def bare_environment(**more):
    """Of this process, without what concerns stores and preloading."""
    drop = ("OSS", "AWS_", "LD_PRELOAD", "ENABLE_CONNECTOR", "HTTP_", "http_", "HTTPS_", "https_", "ALL_PROXY", "all_proxy")
    return {**{k: v for k, v in os.environ.items() if not k.startswith(drop)}, **more}


def run(argv, env=None, timeout=600, stdout=subprocess.PIPE):
    """To the end; -> (seconds, CPU seconds of it and its children, standard output)."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    try:
        out = subprocess.run([str(a) for a in argv], env=env, stdin=subprocess.DEVNULL, stdout=stdout,
                             stderr=subprocess.PIPE, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"{argv[0]} took more than {timeout} s") from None
    took, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if out.returncode != 0:
        last = out.stderr.decode(errors="replace").strip().splitlines() or ["no word of it"]
        raise Failed(f"{pathlib.Path(str(argv[0])).name} ended with {out.returncode}: {last[-1][:200]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took, cpu, out.stdout or b""


def limit(store, names, size, connections, tls=False):
    """test/bench/limit.c on the same objects, unsigned."""
    where = store.https_endpoint.split("//")[1] if tls else store.http
    _, _, out = run([BUILD / "test/bench/limit", *(["--tls"] if tls else []), where, connections, CHUNK, size,
                     *(f"/open/{n}" for n in names)])
    return json.loads(out)


def machine():
    """What figures depend on, and nothing that names the machine."""
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "unknown")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cpu": model, "cores": CORES, "memory_gib": round(pages / (1 << 30), 1),
            "kernel": ".".join(os.uname().release.split("-")[0].split(".")[:2]), "arch": os.uname().machine}


@contextlib.contextmanager
def model_store(size, tls=False):
    """A store with one object of `size` and eight of an eighth, in `open` unsigned and in `signed` signed."""
    with tempfile.TemporaryDirectory(prefix="ossc-bench-") as tmp:
        pair = (f"{tmp}/cert.pem", f"{tmp}/key.pem")
        if tls:
            run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                 "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", pair[1], "-out", pair[0]])
        with Store(keys=[KEY], anonymous=["open"], buckets=["open", "signed"], tls=pair if tls else None) as store:
            store.ca_file = pair[0]
            for bucket in ("open", "signed"):
                # ETags as after multipart uploads: programs take others for the MD5 of the bytes.
                store.synth(f"{bucket}/{ONE[0]}", size, 1, etag=f"{1:032x}-128")
                for i, name in enumerate(EIGHT):
                    store.synth(f"{bucket}/{name}", size // 8, 10 + i, etag=f"{10 + i:032x}-16")
            store.settle()  # it reckons its objects' checksums in the background
            yield store


def mounted(store, names, conf, tls=False):
    """A daemon of its own, and the mount that shows just these names."""
    whole = {"verify": "off", "logLevel": 2, **conf}
    if tls:
        whole["network"] = {"caFile": store.ca_file, **whole.get("network", {})}
    return Daemon(store, whole, bucket="signed", prefix=names[0].split("/")[0] + "/", key=KEY,
                  endpoint=store.https_endpoint if tls else None)


def threads_of(connections, vcpus=CORES):
    """Configuration that allows so many connections."""
    vcpus = max(min(vcpus, connections), 1)
    return {"prefetch": {"vcpus": vcpus, "workers": max(connections // vcpus, 1)}}


def read_cold(store, names, size, conf, reader, tls=False):
    """One cold read by reader(daemon) -> (argv, env); rate and CPU seconds a GB of each party."""
    total = size * len(names) / 1e9
    with mounted(store, names, conf, tls) as d:
        argv, env = reader(d, [n.split("/")[1] for n in names])
        daemon, served = cpu_seconds(d.pid), store.counters()["cpu_seconds"]
        took, cpu, out = run(argv, env)
        return {"seconds": took, "gb_per_s": total / took,
                "cpu": {"reader": cpu / total, "daemon": (cpu_seconds(d.pid) - daemon) / total,
                        "store": (store.counters()["cpu_seconds"] - served) / total}}


def by_capi(how):
    return lambda d, names: ([BUILD / "test/programs/capi_read", how, *names], d.env())


def by_dd(d, names):
    """One dd after the other: what a program does that reads shard by shard."""
    loop = 'for f; do dd if="$f" of=/dev/null bs=1M status=none || exit 1; done'
    return ["sh", "-c", loop, "sh", *map(d.path, names)], d.preload()


def by_mmap(d, names):
    return [BUILD / "test/programs/mapread", *map(d.path, names)], d.preload()


class Bench:
    """The rows of one run."""

    def __init__(self, runs, size, say=lambda row: None):
        self.runs, self.size, self.say = runs, size, say
        self.rows, self.left_out = [], []

    def turns(self, contenders):
        """{name: function} -> {name: [answer, ...]}: each once a turn, so that all see the same weather.

        One that fails is left out, with its reason; the others go on.
        """
        answers = {name: [] for name in contenders}
        for turn in range(self.runs):
            for i, (name, measure) in enumerate(contenders.items()):
                if name not in answers:
                    continue
                if sys.stderr.isatty():
                    print(f"turn {turn + 1} of {self.runs}, {i + 1} of {len(contenders)}\r", end="", file=sys.stderr)
                try:
                    answers[name].append(measure())
                except Failed as why:
                    del answers[name]
                    self.leave_out(name if isinstance(name, str) else ", ".join(map(str, name)), str(why))
        return answers

    def row(self, name, versus, unit, turns, goals=(), **at):
        """turns: [{"ours", "base", "cpu": {party: s/GB}, "base_cpu"}].  goals: (what, sign, number) of medians.

        What is "ratio" (ours / base), "cpu" (all of cpu but the store's), "cpu_ratio" (to base_cpu), "ours".
        at: what the charts sort by.
        """
        row = {"set": self.set, "name": name, "versus": versus, "unit": unit, "at": at}
        for t in turns:
            t["ratio"] = t["ours"] / t["base"]
        for key in ("ours", "base", "ratio", "base_cpu"):
            if key in turns[0]:
                row[key] = statistics.median(t[key] for t in turns)
        row["spread"] = [min(t["ratio"] for t in turns), max(t["ratio"] for t in turns)]
        row["ours_spread"] = [min(t["ours"] for t in turns), max(t["ours"] for t in turns)]
        row["base_spread"] = [min(t["base"] for t in turns), max(t["base"] for t in turns)]
        if "cpu" in turns[0]:
            row["cpu_of"] = {k: statistics.median(t["cpu"][k] for t in turns) for k in turns[0]["cpu"]}
            row["cpu"] = statistics.median(sum(v for k, v in t["cpu"].items() if k != "store") for t in turns)
        if "cpu" in row and "base_cpu" in row:
            row["cpu_ratio"] = row["cpu"] / row["base_cpu"]
        row["goals"] = [{"what": what, "sign": sign, "number": number, "met": HOLDS[sign](row[what], number)}
                        for what, sign, number in goals]
        row["runs"] = len(turns)
        self.rows.append(row)
        self.say(row)
        return row

    def leave_out(self, name, why):
        gone = {"set": self.set, "name": name, "reason": why}
        self.left_out.append(gone)
        self.say(gone)
