"""Buckets of many keys: all of them shown, once, in bounded memory; and what is new appears."""
import http.server
import os
import random
import subprocess
import sys
import threading
import time
import urllib.parse

import pytest

import wire
from daemon import cpu_seconds, resident_kib

MiB = 1 << 20


def tree_keys(keys, dirs):
    """Names as the store's synthetic tree makes them."""
    each, big = divmod(keys, dirs)
    number = 0
    for d in range(dirs):
        for _ in range(each + (d < big)):
            yield f"dir-{d:07d}/file-{number:09d}.bin"
            number += 1


def listed(d, *argv, **kw):
    out = d.ossc("ls", "-R", *argv, **kw)
    assert out.returncode == 0, out.stderr
    return out.stdout.decode().splitlines()


def wait_until(true, what, timeout=20):
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_many_pages_of_keys_are_all_there_once(start_daemon, store):
    store.tree("models", keys=12_345, dirs=37, prefix="big/", size=1000, size_max=5000, seed=3)
    d = start_daemon(prefix="big/")
    found = listed(d)
    want = list(tree_keys(12_345, 37))
    assert [name for name in found if not name.endswith("/")] == want
    assert [name for name in found if name.endswith("/")] == [f"dir-{i:07d}/" for i in range(37)]
    assert store.counters()["requests"]["LIST"] >= 13
    # And as a program sees them, with right sizes and bytes.
    out = d.run("find", d.path(), "-type", "f", "-printf", "%P\n")
    assert sorted(out.stdout.decode().splitlines()) == want, out.stderr
    name = want[9_999]
    size = int(d.run("stat", "-c", "%s", d.path(name)).stdout)
    assert 1000 <= size <= 5000 and len(d.run("cat", d.path(name)).stdout) == size


def test_one_wide_directory(start_daemon, store):
    store.tree("models", keys=20_000, dirs=1, prefix="wide/", size=1, size_max=1, seed=1)
    d = start_daemon(prefix="wide/")
    program = "import os,sys; n=[e.name for e in os.scandir(sys.argv[1])]; print(len(n), len(set(n)), min(n), max(n))"
    out = d.run(sys.executable, "-c", program, d.path("dir-0000000"))
    assert out.stdout.decode().split() == ["20000", "20000", "file-000000000.bin", "file-000019999.bin"], out.stderr
    assert d.run("sh", "-c", f'ls -f "{d.path("dir-0000000")}" | wc -l').stdout.split() == [b"20002"]


@pytest.mark.parametrize("signature", ["V1", "V4", "S3"])
def test_names_of_all_kinds_over_many_pages_of_the_whole_bucket(signature, start_daemon, store):
    names = [f"a b/größe {i:04d}+&%=?#;'\"<>模型" for i in range(1200)] + [f"m/{i:04d}\x01\x7f\\*" for i in range(900)]
    for name in names:
        (store.root / "models" / name).parent.mkdir(exist_ok=True)
        (store.root / "models" / name).write_bytes(name[-9:].encode())
    store.rescan()
    d = start_daemon(scheme="s3" if signature == "S3" else "oss")
    env = {"OSS_REGION": ""} if signature == "V1" else {}
    program = ("import os,sys; print(ascii(sorted(os.path.relpath(os.path.join(h,n),sys.argv[1]) "
               "for h,_,fs in os.walk(sys.argv[1]) for n in fs)))")
    out = d.run(sys.executable, "-c", program, d.path(), env=env)
    assert out.returncode == 0, out.stderr
    assert eval(out.stdout) == sorted(names)
    counters = store.counters()
    assert counters["requests"]["LIST"] >= 3 and counters["refused"] == 0
    for name in (names[999], names[1000], names[-1]):
        assert d.run("cat", d.path(name), env=env).stdout == name[-9:].encode()


def test_lopsided_trees_are_divided_and_every_key_is_there_once(start_daemon, store):
    """A long directory, many short ones, odd names before, between and behind: all of it, once."""
    trees = [("m/a/", 30_000, 1), ("m/b/c/d/e/", 9_000, 3_000), ("m/z", 2_500, 2)]
    for prefix, keys, dirs in trees:
        store.tree("models", keys=keys, dirs=dirs, prefix=prefix, size=1, size_max=1, seed=1)
    odd = ["m/!first", "m/a/größe", "m/b/c/y", "m/b/模型/x", "m/zz/~~~", "m/~last"]
    for key in odd:
        store.put(f"models/{key}", b"x")
    want = sorted([prefix[2:] + name for prefix, keys, dirs in trees for name in tree_keys(keys, dirs)]
                  + [key[2:] for key in odd])
    for workers in (1, 16, 64):
        d = start_daemon({"fastList": {"workers": workers}}, prefix="m/")
        before = store.counters()["requests"]["LIST"]
        assert sorted(name for name in listed(d) if not name.endswith("/")) == want
        pages = len(want) // 1000 + 1
        asked = store.counters()["requests"]["LIST"] - before
        # Guesses that find nothing are few beside the pages that bring keys.
        assert pages <= asked <= (pages if workers == 1 else 3 * pages + 96)
        d.stop()


class Unordered(http.server.BaseHTTPRequestHandler):
    """A store that lists in an order of its own, as S3's directory buckets do."""

    keys = [f"m/{i * 7919 % 5000:04d}" for i in range(5000)]
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        at = int(query.get("continuation-token", ["0"])[0])
        page = self.keys[at:at + 1000]
        more = at + 1000 < len(self.keys)
        body = "<ListBucketResult><IsTruncated>%s</IsTruncated>%s%s</ListBucketResult>" % (
            str(more).lower(), f"<NextContinuationToken>{at + 1000}</NextContinuationToken>" if more else "",
            "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in page))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args):
        pass


def test_a_store_that_lists_in_no_order_is_read_page_after_page(start_daemon):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unordered) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            d = start_daemon(prefix="m/", scheme="s3", endpoint=f"http://127.0.0.1:{server.server_port}")
            assert listed(d) == sorted(key[2:] for key in Unordered.keys)
            assert "does not list in the order of keys" in d.log()
        finally:
            server.shutdown()


def test_a_million_keys_take_bounded_memory(start_daemon, store, record_property):
    keys = 1_000_000
    store.tree("models", keys=keys, dirs=1000, prefix="m/", size=1, size_max=1 << 30, seed=1)
    d = start_daemon(prefix="m/")
    began = time.monotonic()
    with wire.Session(d.socket, timeout=110) as s:
        s.hello()
        (number, _, _, snapshot_len, _), _ = s.mount_of(d)
        seconds = time.monotonic() - began
        print(f"{keys} keys listed in {seconds:.1f} s ({cpu_seconds(d.pid):.1f} CPU seconds, the store "
              f"{store.counters()['cpu_seconds']:.1f}), {snapshot_len / keys:.0f} bytes a key")
        record_property("seconds", round(seconds, 1))
        assert snapshot_len / keys <= 200
        # The last file of all is found, and can be read.
        name = "dir-0000999/file-000999999.bin"
        assert s.open(number, name)[1] > 0
        mount, = d.status()["mounts"]
        assert mount["files"] == keys
    # While one listing is shown and the next is made, and nothing else.
    assert resident_kib(d.pid) < 700 * 1024


def test_the_deepest_directories_a_key_can_have(start_daemon, store):
    key = "d/" * 500 + "file"
    store.put(f"models/deep/{key}", b"at the bottom")
    d = start_daemon(prefix="deep/")
    assert listed(d)[-1] == key
    assert d.run("cat", d.path(key)).stdout == b"at the bottom"
    out = d.run("find", d.path(), "-type", "f")
    assert out.stdout.decode() == d.path(key) + "\n", out.stderr


# ---- what is new ------------------------------------------------------------------------------


LOOK = """
import os, sys, time
path, seconds = sys.argv[1], float(sys.argv[2])
print(os.path.exists(path), flush=True)
deadline = time.monotonic() + seconds
while time.monotonic() < deadline:
    # An open is what finds the listing old.
    open(os.path.join(os.path.dirname(path), 'old.txt')).close()
    try:
        with open(path, 'rb') as f:
            print(f.read().decode(), flush=True)
            break
    except FileNotFoundError:
        time.sleep(0.05)
else:
    print('absent', flush=True)
print(sorted(os.listdir(os.path.dirname(path))))
"""


def test_a_new_key_appears_when_the_listing_is_old(start_daemon, store):
    store.put("models/n/old.txt", b"old")
    d = start_daemon({"mount": {"refreshSec": 1}}, prefix="n/")
    p = subprocess.Popen([sys.executable, "-c", LOOK, d.path("new.txt"), "20"], env=d.preload(), text=True,
                         stdout=subprocess.PIPE)
    assert p.stdout.readline() == "False\n"
    store.put("models/n/new.txt", b"new")
    out, _ = p.communicate(timeout=30)
    assert out.splitlines() == ["new", "['new.txt', 'old.txt']"]


def test_a_new_key_is_there_for_a_new_primary(start_daemon, store):
    store.put("models/n/old.txt", b"old")
    d = start_daemon({"mount": {"refreshSec": 3600}}, prefix="n/")
    with_old = subprocess.Popen([sys.executable, "-c", LOOK, d.path("new.txt"), "0.3"], env=d.preload(), text=True,
                                stdout=subprocess.PIPE)
    assert with_old.stdout.readline() == "False\n"
    store.put("models/n/new.txt", b"new")
    assert with_old.communicate(timeout=30)[0].splitlines()[0] == "absent"
    # One that comes within a second of another shares its listing.
    wait_until(lambda: d.run("cat", d.path("new.txt")).stdout == b"new", "a new primary sees an old listing")
    assert d.run("cat", d.path("new.txt"), role=2).stdout == b"new"


def test_a_key_that_was_deleted_goes_with_the_next_listing(start_daemon, store):
    store.put("models/n/keep.txt", b"keep")
    store.put("models/n/gone.bin", random.Random(1).randbytes(3 * MiB))
    d = start_daemon(prefix="n/")
    program = ("import os,sys; f=open(sys.argv[1],'rb'); n=len(f.read()); print(n, flush=True); sys.stdin.readline();"
               "f.seek(0); print(len(f.read()), os.fstat(f.fileno()).st_size)")
    p = subprocess.Popen([sys.executable, "-c", program, d.path("gone.bin")], env=d.preload(), text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert p.stdout.readline() == f"{3 * MiB}\n"
    (store.root / "models/n/gone.bin").unlink()
    store.rescan()
    assert listed(d) == ["keep.txt"]
    out = d.run("cat", d.path("gone.bin"))
    assert out.returncode == 1 and b"No such file" in out.stderr
    # Who has it open keeps what it has.
    assert p.communicate("\n", timeout=20)[0].split() == [str(3 * MiB)] * 2


def test_a_file_that_became_a_directory_is_shown_as_what_it_is_now(start_daemon, store):
    store.put("models/n/x", b"file")
    d = start_daemon(prefix="n/")
    assert d.run("cat", d.path("x")).stdout == b"file"
    (store.root / "models/n/x").unlink()
    store.rescan()
    store.put("models/n/x/y", b"below")
    assert listed(d) == ["x/", "x/y"]
    assert d.run("cat", d.path("x/y")).stdout == b"below"


def test_a_listing_that_fails_midway_is_no_half_listing(start_daemon, store):
    store.tree("models", keys=5_000, dirs=5, prefix="t/", size=1, size_max=1, seed=1)
    store.fault("LIST models", "status", status=403, code="AccessDenied", after=3)
    d = start_daemon({"network": {"retrySec": 1}}, prefix="t/")
    out = d.ossc("ls", "-R")
    assert out.returncode == 1 and out.stdout == b"" and b"AccessDenied" in out.stderr
    store.clear()
    assert len(listed(d)) == 5_005


def test_pages_that_come_late_or_fail_once_are_asked_for_again(start_daemon, store):
    store.tree("models", keys=8_000, dirs=8, prefix="t/", size=1, size_max=1, seed=1)
    store.fault("LIST models", "status", status=503, code="ServiceUnavailable", after=2, times=2)
    store.fault("LIST models", "reset_at", at=3000, after=4, times=1)
    d = start_daemon(prefix="t/")
    assert [n for n in listed(d) if not n.endswith("/")] == list(tree_keys(8_000, 8))
