"""The same cold read by what a user would otherwise take: mounts, copies, and loaders with clients of their own.

Ours in each turn is unmodified dd under preload; where others read eight objects at once, so does it.  Each
starts from nothing (a new process, a new mount) and is measured to the last byte; loaders in Python from
the making of their client, imports left out.  Before all turns each one's bytes are compared by SHA-256 with the
store's.  `discarded`: the bytes were thrown away, `kept`: they are in memory at the end, as ours are.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from measure import (CORES, EIGHT, KEY, ONE, TOP, Failed, bare_environment, cpu_seconds, model_store, mounted, read_cold,
                     run, threads_of)

CHECKED = 256 << 20  # size of what the digests are taken of
RANGES = 8           # of curl, and of everything else that reads a file in parallel


def at_once(commands):
    """sh arguments that run all of them side by side and fail if one of them does."""
    script = "\n".join(f"{c} & p{i}=$!" for i, c in enumerate(commands))
    return ["sh", "-c", script + "\n" + "\n".join(f"wait $p{i} || exit 1" for i in range(len(commands)))]


def dd(path, to="/dev/null"):
    return f"dd if='{path}' of='{to}' bs=1M status=none"


def dd_all(paths, folder):
    """All files at once; into `folder` where their digest is wanted."""
    return at_once([dd(p, folder / f"{i}" if folder else "/dev/null") for i, p in enumerate(paths)])


class Case:
    """One store, one list of objects, one size: what every peer is given."""

    def __init__(self, store, names, size, work):
        self.store, self.names, self.size, self.work = store, names, size, work
        self.prefix = names[0].split("/")[0]
        self.base = [n.split("/")[1] for n in names]
        self.kept = pathlib.Path(tempfile.mkdtemp(dir=work))  # where copies go

    def s3_environment(self, **more):
        return bare_environment(
            AWS_ACCESS_KEY_ID=KEY[0], AWS_SECRET_ACCESS_KEY=KEY[1], AWS_REGION=self.store.region,
            AWS_DEFAULT_REGION=self.store.region, AWS_ENDPOINT_URL=self.store.endpoint,
            AWS_EC2_METADATA_DISABLED="true", S3_ENDPOINT_URL=self.store.endpoint, **more)

    def rclone_environment(self):
        return bare_environment(
            RCLONE_CONFIG=str(self.work / "no-rclone.conf"), RCLONE_CONFIG_BENCH_TYPE="s3",
            RCLONE_CONFIG_BENCH_PROVIDER="Other", RCLONE_CONFIG_BENCH_ENDPOINT=self.store.endpoint,
            RCLONE_CONFIG_BENCH_REGION=self.store.region, RCLONE_CONFIG_BENCH_ACCESS_KEY_ID=KEY[0],
            RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY=KEY[1])


def needed(program):
    if shutil.which(program) is None:
        raise Failed(f"{program} is not here: scripts/bootstrap --bench brings it")
    return program


# ---- each peer: a function of (case, folder or None) -> (seconds, CPU seconds, digest or None) ---------

def digest_of(paths):
    whole = hashlib.sha256()
    for p in paths:
        with open(p, "rb") as f:
            while piece := f.read(1 << 20):
                whole.update(piece)
    return whole.hexdigest()


def program(case, argv, env, kept=None):
    """A command that leaves its files `kept`; they are compared and removed again."""
    took, cpu, _ = run(argv, env)
    digest = digest_of(kept) if kept and case.size * len(case.names) <= CHECKED else None
    shutil.rmtree(case.kept)
    case.kept.mkdir()
    return took, cpu, digest


def curl(keep):
    def read(case):
        needed("curl")
        pieces = RANGES // len(case.names)
        step = case.size // pieces
        kept = [case.kept / f"{i:02}-{r:02}" for i in range(len(case.names)) for r in range(pieces)]
        urls = [f"curl -sf -r {r * step}-{(r + 1) * step - 1} {case.store.endpoint}/open/{n}"
                for n in case.names for r in range(pieces)]
        checked = keep or case.size * len(case.names) <= CHECKED
        return program(case, at_once([f"{u} -o {k if checked else '/dev/null'}" for u, k in zip(urls, kept)]),
                       bare_environment(), kept if checked else None)
    return read


def rclone_cat(case):
    out = case.kept / "all" if case.size * len(case.names) <= CHECKED else "/dev/null"
    command = [needed("rclone"), "cat", *[f"bench:signed/{n}" for n in case.names]]
    if len(case.names) > 1:
        command = ["rclone", "cat", f"bench:signed/{case.prefix}"]
    with open(out, "wb") as f:
        took, cpu, _ = run(command, case.rclone_environment(), stdout=f)
    return took, cpu, digest_of([out]) if out != "/dev/null" else None


def rclone_copy(case):
    return program(case, [needed("rclone"), "copy", f"bench:signed/{case.prefix}", case.kept],
                   case.rclone_environment(), [case.kept / b for b in case.base])


def s5cmd(case):
    return program(case, [peers_bin() / "s5cmd", "cp", f"s3://signed/{case.prefix}/*", f"{case.kept}/"],
                   case.s3_environment(), [case.kept / b for b in case.base])


def package(name):
    """One of peer_read.py."""
    def read(case):
        check = case.size * len(case.names) <= CHECKED
        where = case.store.endpoint
        env = case.s3_environment(RUNAI_STREAMER_S3_USE_VIRTUAL_ADDRESSING="0")
        before = []
        if name == "osstorch":
            where, before = by_virtual_host(case, env)
        argv = [*before, peers_bin() / "python", TOP / "test/bench/peer_read.py", name, where, case.store.region, "signed",
                case.size, *(["--digest"] if check else []), *case.names]
        _, _, out = run(argv, env)
        answer = json.loads(out.splitlines()[-1])  # one of them logs there as well
        if answer["bytes"] != case.size * len(case.names):
            raise Failed(f"{name} gave {answer['bytes']} bytes")
        return answer["seconds"], answer["cpu_s"], answer.get("sha256")
    return read


def by_virtual_host(case, env):
    """It wants names, BUCKET.ENDPOINT: in a mount namespace of its own with an /etc/hosts of its own."""
    (case.work / "hosts").write_text("127.0.0.1 localhost signed.oss.test.local\n")
    (case.work / "keys.json").write_text(json.dumps({"AccessKeyId": KEY[0], "AccessKeySecret": KEY[1]}))
    conf = json.loads((TOP / "conf/config.json").read_text())
    conf.update(logLevel=2, logPath=str(case.work / "peer.log"), auditPath=str(case.work / "peer-audit.log"))
    (case.work / "peer.json").write_text(json.dumps(conf))
    env.update(OSS_CREDENTIALS=str(case.work / "keys.json"), OSS_CONFIG=str(case.work / "peer.json"))
    if os.geteuid() != 0:
        raise Failed("it needs root here: a hosts file of its own, and userfaultfd")
    return case.store.endpoint.replace(case.store.host, "oss.test.local"), [
        "unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', case.work / "hosts"]


@contextlib.contextmanager
def mount_of(case, argv, env):
    """A FUSE mount in the foreground; -> (folder, its process)."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=case.work))
    log = tempfile.TemporaryFile()
    process = subprocess.Popen([*map(str, argv), str(folder)] if "MOUNT" not in argv else
                               [str(folder) if a == "MOUNT" else str(a) for a in argv],
                               env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while not os.path.ismount(folder):
            if process.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                last = log.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
                raise Failed(f"no mount: {last[-1][:200]}")
            time.sleep(0.01)
        yield folder, process
    finally:
        subprocess.run(["fusermount", "-u", folder], capture_output=True)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def through_mount(case, argv, env):
    check = case.size * len(case.names) <= CHECKED
    with mount_of(case, argv, env) as (folder, process):
        before = cpu_seconds(process.pid)
        took, cpu, _ = run(dd_all([folder / b for b in case.base], case.kept if check else None), bare_environment())
        cpu += cpu_seconds(process.pid) - before
    return took, cpu, digest_of(sorted(case.kept.iterdir())) if check else None


def s3fs(case):
    (case.work / "passwd").write_text(f"{KEY[0]}:{KEY[1]}\n")
    (case.work / "passwd").chmod(0o600)
    return through_mount(case, [needed("s3fs"), f"signed:/{case.prefix}", "MOUNT", "-f", "-o",
                                f"ro,url={case.store.endpoint},endpoint={case.store.region},use_path_request_style,"
                                f"passwd_file={case.work}/passwd"], bare_environment())


def rclone_mount(case):
    return through_mount(case, [needed("rclone"), "mount", f"bench:signed/{case.prefix}", "MOUNT", "--read-only"],
                         case.rclone_environment())


PEERS = {
    "curl, 8 ranges, discarded": curl(False),
    "curl, 8 ranges, kept": curl(True),
    "s3fs mount": s3fs,
    "rclone mount": rclone_mount,
    "rclone cat, discarded": rclone_cat,
    "rclone copy, kept": rclone_copy,
    "s5cmd cp, kept": s5cmd,
    "runai-model-streamer": package("runai"),
    "s3torchconnector, discarded": package("s3torch"),
    "osstorchconnector": package("osstorch"),
}
MOUNTS = ("s3fs mount", "rclone mount")


def peers_bin():
    """Of the environment that `scripts/bootstrap --bench` made."""
    out = subprocess.run([TOP / "scripts/bootstrap", "--pins", TOP / "test/bench/requirements.txt"],
                         capture_output=True, text=True)
    if out.returncode != 0:
        raise Failed((out.stderr.strip().splitlines() or ["scripts/bootstrap --pins failed"])[-1][:200])
    return pathlib.Path(out.stdout.strip().splitlines()[-1]) / "bin"


def ours(case):
    """dd under preload, all files at once."""
    answer = read_cold(case.store, case.names, case.size, threads_of(16 * CORES),
                       lambda d, names: (dd_all([d.path(n) for n in names], None), d.preload()))
    return {**answer["cpu"], "gb_per_s": answer["gb_per_s"]}


def checked(bench, work):
    """The peers whose bytes are the store's; the others are left out, with the reason."""
    good = {}
    with model_store(CHECKED // 2) as store:
        case = Case(store, EIGHT, CHECKED // 16, work)
        whole = at_once([f"curl -sf {store.endpoint}/open/{n} -o {case.kept}/{i}" for i, n in enumerate(EIGHT)])
        _, _, expected = program(case, whole, bare_environment(), [case.kept / str(i) for i in range(8)])
        for name, read in PEERS.items():
            try:
                _, _, digest = read(case)
                if digest != expected:
                    raise Failed(f"other bytes than the store's: SHA-256 {digest}")
                good[name] = read
            except Failed as why:
                bench.leave_out(name, str(why))
            shutil.rmtree(case.kept)
            case.kept.mkdir()
    return good


def measured(case, read):
    """-> GB/s and CPU s/GB of one peer."""
    took, cpu, _ = read(case)
    total = case.size * len(case.names) / 1e9
    return {"gb_per_s": total / took, "cpu": cpu / total}


def rows(bench):
    needs = 3 * bench.size
    shm = pathlib.Path("/dev/shm")
    home = shm if shm.is_dir() and shutil.disk_usage(shm).free > needs else pathlib.Path(tempfile.gettempdir())
    if home != shm:
        bench.leave_out("copies in memory", f"/dev/shm has less than {needs >> 20} MiB free: copies go to a disk")
    with tempfile.TemporaryDirectory(prefix="ossc-peers-", dir=home) as tmp:
        work = pathlib.Path(tmp)
        good = checked(bench, work)
        with model_store(bench.size) as store:
            for objects, names in (("one object", ONE), ("eight objects", EIGHT)):
                case = Case(store, names, bench.size // len(names), work)
                ours(case)  # for nothing
                contenders = {"ours": lambda case=case: ours(case)}
                contenders.update({n: lambda case=case, read=read: measured(case, read) for n, read in good.items()})
                report(bench, objects, bench.turns(contenders))


def report(bench, objects, answers):
    """Each peer beside ours of the same turn; the mount that costs least CPU has the goal for CPU.

    curl that throws the bytes away writes no memory: a second limit, not a peer.
    """
    mine = answers.pop("ours")
    cost = {n: min(t["cpu"] for t in answers[n]) for n in MOUNTS if n in answers}
    for name, turns in answers.items():
        pairs = [{"ours": m["gb_per_s"], "base": t["gb_per_s"], "base_cpu": t["cpu"],
                  "cpu": {k: m[k] for k in ("reader", "daemon", "store")}} for m, t in zip(mine, turns)]
        goals = [] if "curl" in name and "discarded" in name else [("ratio", ">", 1)]
        if cost and name == min(cost, key=cost.get):
            goals.append(("cpu_ratio", "<", 0.5))
        bench.row(f"{objects}: {name}", "it", "GB/s", pairs, goals, objects=objects, peer=name)
