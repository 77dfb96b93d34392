"""A million keys, each page of the listing 30 ms late; and a tenth of them beside other programs."""
from measure import BUILD, KEY, Daemon, Failed, Store, bare_environment, cpu_seconds, run
from peers import needed, peers_bin

import daemon

KEYS, PAGE_MS = 1000000, 30


def listed(store, prefix, keys):
    """-> seconds, CPU seconds of ls and daemon, peak memory of the daemon in KiB."""
    with Daemon(store, {"logLevel": 2}, bucket="signed", prefix=prefix, key=KEY) as d:
        before = cpu_seconds(d.pid)
        took, cpu, out = run(["sh", "-c", f"'{BUILD}/ossc' ls -R | wc -l"], d.env())
        if int(out) < keys:
            raise Failed(f"ossc ls -R printed {int(out)} lines for {keys} keys")
        return took, cpu + cpu_seconds(d.pid) - before, daemon.resident_kib(d.pid)


def others(store, prefix):
    env = bare_environment(
        AWS_ACCESS_KEY_ID=KEY[0], AWS_SECRET_ACCESS_KEY=KEY[1], AWS_REGION=store.region,
        S3_ENDPOINT_URL=store.endpoint, AWS_EC2_METADATA_DISABLED="true",
        RCLONE_CONFIG="/nonexistent/rclone.conf", RCLONE_CONFIG_BENCH_TYPE="s3", RCLONE_CONFIG_BENCH_PROVIDER="Other",
        RCLONE_CONFIG_BENCH_ENDPOINT=store.endpoint, RCLONE_CONFIG_BENCH_REGION=store.region,
        RCLONE_CONFIG_BENCH_ACCESS_KEY_ID=KEY[0], RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY=KEY[1])
    commands = {"s5cmd ls": lambda: [peers_bin() / "s5cmd", "ls", f"s3://signed/{prefix}*"],
                "rclone lsf -R": lambda: [needed("rclone"), "lsf", "-R", "--fast-list", f"bench:signed/{prefix}"]}

    def turn(argv):
        took, cpu, out = run(argv(), env)
        if out.count(b"\n") < KEYS // 10:
            raise Failed(f"it printed {out.count(bytes([10]))} lines for {KEYS // 10} keys")
        return took, cpu
    return {name: lambda argv=argv: turn(argv) for name, argv in commands.items()}


def rows(bench):
    with Store(keys=[KEY], buckets=["signed"]) as store:
        store.tree("signed", KEYS, dirs=100, prefix="big/")
        store.tree("signed", KEYS // 10, dirs=100, prefix="tenth/")
        store.fault("LIST signed", "delay_ms", ms=PAGE_MS)
        name = f"{KEYS} keys"
        for _, turns in bench.turns({name: lambda: listed(store, "big/", KEYS)}).items():
            bench.row(name, "goal", "s", [{"ours": t, "base": 3.0} for t, _, _ in turns], [("ours", "<=", 3)])
            bench.row(f"{name}, memory of the daemon at its peak", "goal", "bytes a key",
                      [{"ours": kib * 1024 / KEYS, "base": 200.0} for _, _, kib in turns], [("ours", "<=", 200)])
        answers = bench.turns({"ours": lambda: listed(store, "tenth/", KEYS // 10)[:2], **others(store, "tenth/")})
        for name, turns in answers.items():
            if name != "ours" and "ours" in answers:
                pairs = [{"ours": KEYS / 1e4 / o[0], "base": KEYS / 1e4 / t[0]} for o, t in zip(answers["ours"], turns)]
                bench.row(f"{KEYS // 10} keys: {name}", name, "1000 keys/s", pairs, [("ratio", ">", 1)])
