"""Whose keys, which signature, which name of the bucket, from which address."""
import json
import random
import subprocess
import sys
import time

import pytest

from conftest import KEY
from daemon import Daemon
from store import Store

MiB = 1 << 20
BODY = random.Random(5).randbytes(3 * MiB + 17)


def body(seed, size):
    return random.Random(seed).randbytes(size)


def wait_until(true, what, timeout=20):
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture
def served(store):
    store.put("models/w/w.bin", BODY)
    store.put("models/w/größe 模型+&%.txt", b"odd name")
    return store


def reads(d, **env):
    """All of it, through a list, a HEAD where there is any, and GETs."""
    out = d.run("cat", d.path("w.bin"), d.path("größe 模型+&%.txt"), env=env)
    return out.returncode == 0 and out.stdout == BODY + b"odd name"


def refused(d, *words, **env):
    for out in (d.run("cat", d.path("w.bin"), env=env), d.ossc("ls", env=env)):
        assert out.returncode != 0 and out.stdout == b""
        lines = [line for line in out.stderr.decode().splitlines() if "oss" in line]
        assert any(all(w in line for w in words) for line in lines), out.stderr.decode()
        assert KEY[1] not in out.stderr.decode()


# ---- keys -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["oss", "s3"])
@pytest.mark.parametrize("region", ["cn-hangzhou", ""], ids=["region", "no region"])
def test_a_token_goes_with_every_request(scheme, region, served, start_daemon):
    served.keys("STS.one", "secret-one", token="token-one", expires=int(time.time()) + 3600)
    d = start_daemon(prefix="w/", key=("STS.one", "secret-one", "token-one"), scheme=scheme)
    if scheme == "s3" and region == "":
        refused(d, "region", OSS_REGION="")
        return
    assert reads(d, OSS_REGION=region)
    counters = served.counters()
    assert counters["refused"] == 0 and counters["anonymous"] == 0 and counters["verified"] >= 3


@pytest.mark.parametrize("token", ["", "another"], ids=["absent", "wrong"])
def test_a_token_that_is_wrong_or_absent_is_refused(token, served, start_daemon):
    served.keys("STS.one", "secret-one", token="token-one", expires=int(time.time()) + 3600)
    d = start_daemon(prefix="w/", key=("STS.one", "secret-one", token))
    out = d.run("cat", d.path("w.bin"))
    assert out.returncode == 1 and out.stdout == b""
    assert b"InvalidAccessKeyId" in out.stderr or b"SecurityToken" in out.stderr, out.stderr
    assert b"token-one" not in out.stderr and b"secret-one" not in out.stderr


def test_an_expired_token_is_said_to_be_expired(served, start_daemon):
    served.keys("STS.one", "secret-one", token="token-one", expires=int(time.time()) - 60)
    d = start_daemon({"network": {"retrySec": 2}}, prefix="w/", key=("STS.one", "secret-one", "token-one"))
    refused(d, "expired")


def test_a_public_bucket_is_read_without_keys(served, start_daemon):
    served.bucket("public", anonymous=True)
    served.put("public/w/w.bin", BODY)
    served.put("public/w/größe 模型+&%.txt", b"odd name")
    d = start_daemon(bucket="public", prefix="w/", key=None)
    assert reads(d)
    counters = served.counters()
    assert counters["anonymous"] >= 3 and counters["verified"] == 0


def test_a_private_bucket_without_keys_says_which_to_set(served, start_daemon):
    refused(start_daemon(prefix="w/", key=None), "OSS_ACCESS_KEY_ID")


def test_one_key_without_the_other_says_so(served, start_daemon):
    refused(start_daemon(prefix="w/"), "OSS_ACCESS_KEY_SECRET", OSS_ACCESS_KEY_SECRET="")


# ---- signatures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme,region", [("oss", "cn-hangzhou"), ("oss", ""), ("s3", "cn-hangzhou")],
                         ids=["V4", "V1", "SigV4"])
@pytest.mark.parametrize("dialect", ["oss", "s3"])
def test_each_scheme_speaks_its_own_signature(scheme, region, dialect, tmp_path):
    with Store("--dialect", dialect, keys=[KEY], buckets=["models"]) as store:
        store.put("models/w/w.bin", BODY)
        store.put("models/w/größe 模型+&%.txt", b"odd name")
        with Daemon(store, {"network": {"retrySec": 1}}, prefix="w/", key=KEY, scheme=scheme) as d:
            assert reads(d, OSS_REGION=region) == (scheme == dialect)


def test_another_region_is_named_in_the_refusal(served, start_daemon):
    refused(start_daemon(prefix="w/"), "region", "cn-beijing", "OSS_REGION", OSS_REGION="cn-beijing")


# ---- where the bucket's name goes -----------------------------------------------------------------


@pytest.mark.parametrize("scheme,style", [("oss", "auto"), ("oss", "virtual"), ("s3", "virtual")])
def test_the_bucket_is_part_of_the_name(scheme, style):
    with Store("--host-suffix", "oss.localhost", "--virtual-only", keys=[KEY], buckets=["models"]) as store:
        store.put("models/w/w.bin", BODY)
        store.put("models/w/größe 模型+&%.txt", b"odd name")
        with Daemon(store, {"network": {"pathStyle": style, "retrySec": 1}}, prefix="w/", key=KEY, scheme=scheme,
                    endpoint=f"http://oss.localhost:{store.port}") as d:
            assert reads(d), d.log()


def test_path_style_can_be_asked_for_and_is_refused_where_it_is_not_served():
    with Store("--host-suffix", "oss.localhost", "--virtual-only", keys=[KEY], buckets=["models"]) as store:
        store.put("models/w/w.bin", BODY)
        with Daemon(store, {"network": {"pathStyle": "path", "retrySec": 1}}, prefix="w/", key=KEY,
                    endpoint=f"http://oss.localhost:{store.port}") as d:
            refused(d, "SecondLevelDomainForbidden", "network.pathStyle")


# ---- a file of keys ------------------------------------------------------------------------------------


class KeyFile:
    """credentials.path: replaced whole, as tools that rotate keys do it."""

    def __init__(self, path):
        self.path = path

    def write(self, text):
        new = self.path.with_name("new")
        new.write_text(text if isinstance(text, str) else json.dumps(text))
        new.replace(self.path)

    def keys(self, ak, secret, token=""):
        self.write({"AccessKeyId": ak, "AccessKeySecret": secret, "SecurityToken": token})


@pytest.fixture
def key_file(tmp_path):
    return KeyFile(tmp_path / "credentials.json")


def with_file(start_daemon, key_file, **more):
    return start_daemon({"credentials": {"path": str(key_file.path)}, "network": {"retrySec": 3}, "expireTimeSec": 0},
                        key=None, prefix="w/", **more)


@pytest.mark.parametrize("shape", [
    lambda ak, sk: {"AccessKeyId": ak, "AccessKeySecret": sk},
    lambda ak, sk: {"access_key_id": ak, "access_key_secret": sk},
    lambda ak, sk: f"[default]\ntype = access_key\naccess_key_id = {ak}\naccess_key_secret = {sk}\n",
], ids=["json", "snake case", "ini"])
def test_keys_come_from_a_file(shape, served, key_file, start_daemon):
    key_file.write(shape(*KEY))
    d = with_file(start_daemon, key_file)
    assert reads(d)
    assert served.counters()["anonymous"] == 0


def test_a_file_that_is_replaced_is_read_again(served, key_file, start_daemon):
    served.keys("LTAIone", "secret-one")
    key_file.keys("LTAIone", "secret-one")
    d = with_file(start_daemon, key_file)
    assert reads(d)
    served.keys("LTAItwo", "secret-two")
    served.keys("LTAIone", remove=True)
    key_file.keys("LTAItwo", "secret-two")
    served.put("models/w/new.bin", body(9, 100_000))
    out = []
    wait_until(lambda: out.append(d.run("cat", d.path("new.bin"))) or out[-1].returncode == 0,
               lambda: out[-1].stderr)
    assert out[-1].stdout == body(9, 100_000)


READER = """
import sys
for name in sys.stdin:
    with open(name.rstrip(), 'rb') as f:
        print(len(f.read()), flush=True)
"""


def test_a_file_that_is_spoilt_leaves_the_last_good_keys_to_who_has_them(served, key_file, start_daemon):
    key_file.keys(*KEY)
    d = with_file(start_daemon, key_file)
    p = subprocess.Popen([sys.executable, "-c", READER], env=d.preload(), text=True, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)

    def read(name):
        p.stdin.write(d.path(name) + "\n")
        p.stdin.flush()
        return int(p.stdout.readline())

    assert read("w.bin") == len(BODY)
    key_file.write('{"AccessKeyId": "half of a fi')
    refused(d, str(key_file.path))
    wait_until(lambda: d.status()["cache"]["used"] < len(BODY), "it is still cached")
    served.reset()
    assert read("w.bin") == len(BODY)
    assert served.counters("models/w/w.bin")["bytes"] == len(BODY) and served.counters()["refused"] == 0
    p.stdin.close()
    assert p.wait(10) == 0
    assert "half of a fi" not in d.log()


@pytest.mark.parametrize("text,word", [("{}", "AccessKeyId"), ("{", ""), ("[default]\ntype = magic\n", "access_key")],
                         ids=["empty", "broken", "of another kind"])
def test_a_file_without_keys_is_one_clear_line(text, word, served, key_file, start_daemon):
    key_file.write(text)
    refused(with_file(start_daemon, key_file), str(key_file.path), word)


def test_a_file_that_is_absent_is_anonymous_and_the_log_says_so(served, key_file, start_daemon):
    d = with_file(start_daemon, key_file)
    refused(d, "without keys")
    assert f"{key_file.path} is not there" in d.log()


def test_keys_of_the_client_come_before_those_of_the_daemon(served, start_daemon):
    # The daemon's own are wrong: who brings good ones reads, who brings none is refused.
    d = start_daemon({"network": {"retrySec": 1}}, prefix="w/", env={"OSS_ACCESS_KEY_ID": "LTAIwrong",
                                                                     "OSS_ACCESS_KEY_SECRET": "wrong"})
    assert reads(d)
    bare = {"OSS_ACCESS_KEY_ID": "", "OSS_ACCESS_KEY_SECRET": ""}
    refused(d, "InvalidAccessKeyId", **bare)


def test_the_daemons_own_keys_serve_its_own_user(served, start_daemon):
    d = start_daemon(prefix="w/", key=None, env={"OSS_ACCESS_KEY_ID": KEY[0], "OSS_ACCESS_KEY_SECRET": KEY[1]})
    assert reads(d)
    assert served.counters()["anonymous"] == 0


def test_other_keys_are_another_mount(served, start_daemon):
    served.keys("LTAIother", "secret-other")
    d = start_daemon(prefix="w/")
    assert d.ossc("mount").returncode == 0
    other = {"OSS_ACCESS_KEY_ID": "LTAIother", "OSS_ACCESS_KEY_SECRET": "secret-other"}
    assert d.ossc("mount", env=other).returncode == 0
    assert len(d.status()["mounts"]) == 2
    # A wrong secret for the right id opens nothing that is mounted.
    wrong = d.run("cat", d.path("w.bin"), role=2, env={"OSS_ACCESS_KEY_SECRET": "guessed", "OSSC_WAIT_SEC": "0"})
    assert wrong.returncode != 0 and wrong.stdout == b""


# ---- source addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["client", "daemon", "configuration"])
def test_connections_are_spread_over_the_source_addresses(whose, served, start_daemon):
    served.put("models/w/big.bin", body(8, 48 * MiB))
    served.limits(per_connection_bps=60 * MiB)
    both = "127.0.0.2,127.0.0.3"
    conf = {"cache": {"chunkSize": "1MiB"}}
    if whose == "configuration":
        conf["network"] = {"sourceIp": both}
    d = start_daemon(conf, prefix="w/", env={"HTTP_SOURCE_IP": both} if whose == "daemon" else {})
    out = d.run("cat", d.path("big.bin"), env={"HTTP_SOURCE_IP": both} if whose == "client" else {})
    assert out.stdout == body(8, 48 * MiB), out.stderr
    by_source = served.counters()["by_source"]
    assert set(by_source) == {"127.0.0.2", "127.0.0.3"}
    least, most = sorted(s["bytes"] for s in by_source.values())
    assert least > most / 4, by_source
    shown = {s["address"]: s["bytes"] for s in d.status()["sources"]}
    assert set(shown) == set(by_source) and all(shown.values())


def test_an_address_that_fails_is_left_out(served, start_daemon):
    served.put("models/w/big.bin", body(8, 24 * MiB))
    served.fault("GET models/*", "close_before_head", source="127.0.0.3")
    d = start_daemon({"cache": {"chunkSize": "1MiB"}}, prefix="w/")
    out = d.run("cat", d.path("big.bin"), env={"HTTP_SOURCE_IP": "127.0.0.2,127.0.0.3"})
    assert out.stdout == body(8, 24 * MiB), out.stderr
    shown = {s["address"]: s for s in d.status()["sources"]}
    assert shown["127.0.0.3"]["errors"] > 0 and shown["127.0.0.2"]["errors"] == 0
    assert served.counters()["by_source"]["127.0.0.2"]["bytes"] >= 24 * MiB
