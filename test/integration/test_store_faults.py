"""The test store does what a test asks of it: faults, limits, clocks, counters, made-up objects, odd keys."""
import email.utils
import hashlib
import http.client
import json
import os
import pathlib
import re
import select
import socket
import struct
import subprocess
import threading
import time
import urllib.parse

import pytest

from store import Store, StoreError, program, synth_bytes

MiB = 1 << 20
SIZE = 300_000
NAME = "bucket/models/w.bin"
PATH = f"/{NAME}"


@pytest.fixture(scope="module")
def shared():
    with Store(keys=[]) as store:
        store.synth(NAME, SIZE, seed=9)
        yield store


@pytest.fixture
def store(shared):
    """The one store of this file, without faults and limits of earlier tests."""
    shared.clear()
    shared.limits(first_byte_ms=0, per_connection_bps=0, total_bps=0, qps=0)
    shared.clock(0)
    shared.reset()
    return shared


def data():
    return synth_bytes(9, 0, SIZE)


def raw(store, head, body=b""):
    """Everything the store sends back until it closes; the exception if it resets."""
    got, error = [], None
    with store.connect() as s:
        s.sendall(head + body)
        try:
            while piece := s.recv(1 << 20):
                got.append(piece)
        except OSError as e:
            error = e
    return b"".join(got), error


def request(path=PATH, method="GET", **headers):
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(store, path=PATH, method="GET", body=b"", **headers):
    """-> (status, {header: value}, what came of the body, the error that ended it)."""
    got, error = raw(store, request(path, method, **headers), body)
    head, _, rest = got.partition(b"\r\n\r\n")
    if not head:
        return None, {}, b"", error
    lines = head.decode().split("\r\n")
    fields = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
    return int(lines[0].split()[1]), fields, rest, error


PART = {"Range": "bytes=1000-200999", "x-oss-range-behavior": "standard"}


def part():
    return data()[1000:201000]


# ---- faults ----

def test_without_a_fault_all_is_well(store):
    status, fields, body, error = answer(store, **PART)
    assert (status, error, body) == (206, None, part())
    assert fields["content-range"] == f"bytes 1000-200999/{SIZE}"


@pytest.mark.parametrize("how,status,code,delay", [
    (dict(action="status", status=503, code="ServiceUnavailable"), 503, "ServiceUnavailable", None),
    (dict(action="status", code="SlowDownDear", status=503), 503, "SlowDownDear", None),
    (dict(action="status", code="InvalidRange"), 416, "InvalidRange", None),
    (dict(action="qos", ms=77), 503, "TotalQpsLimitExceeded", "77"),
    (dict(action="qos", code="DownloadTrafficRateLimitExceeded", n=5), 503, "DownloadTrafficRateLimitExceeded", "5"),
])
def test_an_error_is_answered(store, how, status, code, delay):
    store.fault("GET bucket/models/*", times=1, **how)
    got, fields, body, _ = answer(store)
    assert got == status and fields.get("x-oss-qos-delay-time") == delay
    assert re.search(rb"<Code>(.*)</Code>", body).group(1).decode() == code
    assert answer(store)[0] == 200


def test_an_error_may_have_no_body_or_a_strange_one(store):
    store.fault(f"GET {NAME}", "status", status=502, body="none", times=1)
    status, fields, body, _ = answer(store)
    assert (status, fields["content-length"], body) == (502, "0", b"")
    store.fault(f"GET {NAME}", "status", status=502, body="html", times=1)
    status, fields, body, _ = answer(store)
    assert status == 502 and fields["content-type"] == "text/html" and b"<html>" in body and b"<Code>" not in body


def test_a_redirect(store):
    store.fault(f"GET {NAME}", "redirect", location="http://127.0.0.1:9/x")
    status, fields, body, _ = answer(store)
    assert status == 307 and fields["location"] == "http://127.0.0.1:9/x" and body == b""


def test_closed_before_the_head(store):
    store.fault(f"GET {NAME}", "close_before_head", times=1)
    assert raw(store, request()) == (b"", None)
    store.fault(f"GET {NAME}", "close_before_head", rst=True, times=1)
    got, error = raw(store, request())
    assert got == b"" and isinstance(error, ConnectionResetError)


@pytest.mark.parametrize("at", [0, 1, 65536, 199_999])
def test_reset_in_mid_body(store, at):
    store.fault(f"GET {NAME}", "reset_at", at=at)
    status, fields, body, error = answer(store, **PART)
    assert status == 206 and fields["content-length"] == "200000"
    assert body == part()[:at] and isinstance(error, ConnectionResetError)


@pytest.mark.parametrize("at", [0, 1, 65536, 199_999])
def test_truncated_body(store, at):
    store.fault(f"GET {NAME}", "truncate_at", at=at)
    status, fields, body, error = answer(store, **PART)
    assert (status, fields["content-length"], body, error) == (206, "200000", part()[:at], None)


def test_a_body_longer_than_the_range(store):
    store.fault(f"GET {NAME}", "overlong", bytes=5000, times=1)
    status, fields, body, error = answer(store, **PART)
    assert (status, fields["content-length"], error) == (206, "205000", None)
    assert fields["content-range"] == f"bytes 1000-200999/{SIZE}"
    assert len(body) == 205_000 and body[:200_000] == part()
    store.fault(f"GET {NAME}", "overlong", bytes=5000, declared=False, times=1)
    status, fields, body, error = answer(store, **PART)
    assert fields["content-length"] == "200000" and len(body) == 205_000


@pytest.mark.parametrize("change", [-1, -100, 7])
def test_a_wrong_content_length(store, change):
    store.fault(f"GET {NAME}", "wrong_length", bytes=change)
    status, fields, body, error = answer(store, **PART)
    assert (status, fields["content-length"], body) == (206, str(200_000 + change), part())


def test_a_stall_lasts_until_the_client_gives_up(store):
    store.fault(f"GET {NAME}", "stall_at", at=70_000, times=1)
    with store.connect() as s:
        s.sendall(request(**PART))
        got = b""
        while len(got.partition(b"\r\n\r\n")[2]) < 70_000:
            got += s.recv(65536)
        assert got.partition(b"\r\n\r\n")[2] == part()[:70_000]
        s.settimeout(0.3)
        with pytest.raises(TimeoutError):
            s.recv(1)
        assert store.counters()["connections_now"] == 1
    store.wait_for(lambda c: c["connections_now"] == 0)
    assert answer(store, **PART)[2] == part()


def test_a_drip_has_its_rate(store):
    store.fault(f"GET {NAME}", "drip", bps=400_000)
    start = time.monotonic()
    assert answer(store, **PART)[2] == part()
    assert 0.5 * 0.95 < time.monotonic() - start < 0.5 * 1.3


@pytest.mark.parametrize("at", [1000, 4096, 100_001, 200_999])
def test_one_byte_is_flipped(store, at):
    store.fault(f"GET {NAME}", "flip", at=at)
    wanted = bytearray(part())
    wanted[at - 1000] ^= 0xFF
    assert answer(store, **PART)[2] == bytes(wanted)


def test_a_flip_waits_for_a_request_that_covers_it(store):
    store.fault(f"GET {NAME}", "flip", at=250_000, times=1)
    assert answer(store, **PART)[2] == part()
    assert store.counters()["faults"] == 0
    wanted = bytearray(data())
    wanted[250_000] ^= 0xFF
    assert answer(store)[2] == bytes(wanted)
    assert answer(store)[2] == data()


def test_the_head_lies(store):
    for action in ("as_200", "wrong_range", "other_etag", "gzip", "no_crc", "wrong_crc"):
        _, honest, _, _ = answer(store, **PART)
        store.fault(f"GET {NAME}", action, times=1)
        status, fields, body, _ = answer(store, **PART)
        changed = {name for name in honest | fields if honest.get(name) != fields.get(name)}
        changed -= {"date", "x-oss-request-id", "x-oss-server-time"}
        if action == "as_200":
            assert status == 200 and body == data() and changed == {"content-range", "content-length"}
            continue
        assert status == 206 and body == part()
        assert changed == {{"wrong_range": "content-range", "other_etag": "etag", "gzip": "content-encoding",
                            "no_crc": "x-oss-hash-crc64ecma", "wrong_crc": "x-oss-hash-crc64ecma"}[action]}
        if action == "wrong_range":
            assert fields["content-range"] == f"bytes 1001-201000/{SIZE}"
    store.fault(f"HEAD {NAME}", "other_etag", times=1)
    assert answer(store, method="HEAD")[1]["etag"] != answer(store, method="HEAD")[1]["etag"]


def test_the_first_byte_is_late(store):
    store.fault(f"GET {NAME}", "delay_ms", ms=200, times=1)
    start = time.monotonic()
    assert answer(store)[0] == 200
    assert 0.2 <= time.monotonic() - start < 0.5


def test_rules_skip_and_end_and_match(store):
    store.fault(f"GET {NAME}", "status", status=500, after=2, times=3)
    assert [answer(store)[0] for _ in range(7)] == [200, 200, 500, 500, 500, 200, 200]
    store.fault("LIST bucket", "status", status=500, times=1)
    assert answer(store)[0] == 200
    assert [answer(store, "/bucket/?list-type=2&prefix=models/")[0] for _ in range(2)] == [500, 200]
    store.fault("* bucket/models/?.bin", "status", status=500)
    assert answer(store)[0] == answer(store, method="HEAD")[0] == 500
    assert answer(store, "/bucket/models/ww.bin")[0] == 404
    store.clear()
    store.fault(f"GET {NAME}", "status", status=500, source="127.0.0.2")
    assert answer(store)[0] == 200


def test_chance_follows_its_seed(store):
    def draw(seed):
        store.clear()
        store.fault(f"GET {NAME}", "status", status=500, probability=0.4, seed=seed)
        return [answer(store)[0] for _ in range(60)]

    first = draw(1)
    assert first == draw(1) != draw(2)
    assert 10 < first.count(500) < 40


def test_a_connection_can_fail_when_it_is_used_again(store):
    store.fault(f"GET {NAME}", "close_before_head", reused=True, rst=True)
    c = http.client.HTTPConnection(store.host, store.port)
    c.request("GET", PATH)
    assert c.getresponse().read() == data()
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        c.request("GET", PATH)
        c.getresponse()


def test_wrong_commands_say_what_is_wrong(store):
    for command, document, words in [
        ("fault", {"action": "explode"}, "no such action"), ("fault", {"action": "reset_at"}, "at"),
        ("fault", {"action": "status"}, "status"), ("synth", {"key": "x"}, "bucket"),
        ("synth", {"bucket": "b", "key": "x", "size": 1 << 50}, "5 TiB"), ("clock", {}, "offset_s"),
        ("replace", {"bucket": "b", "key": "none"}, "no such object"), ("nothing", {}, "no such command"),
        ("keys", {"ak": "x"}, "sk"),
    ]:
        with pytest.raises(StoreError, match=words):
            store.control(command, document)
    for text in (b"", b"[", b"{", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a":[1]}', b"{} x", b'{"a":"\\ud800"}', b"\xff",
                 b'{"a":"' + b"x" * 100000, b"[" * 50000):
        got, _ = raw(store, request("/.ctl/fault", "POST", Content_Length=len(text)), text)
        assert got.startswith(b"HTTP/1.1 400 "), text[:20]


# ---- limits and clock ----

def rate(store, clients, size):
    def read():
        buffer, head, nr = bytearray(1 << 18), b"", 0
        with store.connect() as s:
            s.sendall(request("/bucket/rate.bin", Range=f"bytes=0-{size - 1}"))
            while b"\r\n\r\n" not in head:
                head += s.recv(1)
            while n := s.recv_into(buffer):
                nr += n
        done.append(nr)

    done, threads = [], [threading.Thread(target=read) for _ in range(clients)]
    start = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert done == [size] * clients
    return clients * size / (time.monotonic() - start)


def keeps_to(store, bps, clients, size):
    """Never too fast; and not too slow either, unless the machine is so in three runs."""
    store.synth("bucket/rate.bin", 1 << 30)
    store.settle()
    for _ in range(3):
        share = rate(store, clients, size) / bps
        assert share < 1.05
        if share > 0.95:
            return True
    return False


@pytest.mark.parametrize("bps", [2_000_000, 50_000_000])
def test_each_connection_has_its_rate(store, bps):
    store.limits(per_connection_bps=bps)
    assert keeps_to(store, 2 * bps, 2, bps)


def test_all_connections_share_a_rate(store):
    store.limits(total_bps=20_000_000)
    assert keeps_to(store, 20_000_000, 4, 5_000_000)


def test_a_rate_is_shared_evenly():
    """Of connections that could each take half of it, none is left behind, as none is on a card."""
    size, nr = 2 << 20, 8
    with Store(keys=[], threads=1) as store:
        store.synth("bucket/rate.bin", size)
        store.settle()
        store.limits(per_connection_bps=4_000_000, total_bps=8_000_000)
        sockets = [store.connect() for _ in range(nr)]
        for s in sockets:
            s.sendall(request("/bucket/rate.bin"))
        got = dict.fromkeys(sockets, 0)
        while max(got.values()) < size:
            for s in select.select(sockets, [], [], 30)[0]:
                got[s] += len(s.recv(65536))
        sent = [c["bytes"] for c in store.counters(connections=True)["by_connection"].values()]
        for s in sockets:
            s.close()
    assert len(sent) == nr and min(sent) > size / 4, sent


def test_too_many_requests_are_throttled(store):
    store.limits(qps=5)
    listing = "/bucket/?list-type=2"
    answers = [answer(store, p) for p in [PATH, listing] * 10]
    codes = {re.search(rb"<Code>(.*)</Code>", a[2]).group(1) for a in answers if a[0] == 503}
    assert codes == {b"TotalQpsLimitExceeded", b"MetaOperationQpsLimitExceeded"}
    assert 5 <= [a[0] for a in answers].count(200) < 20
    assert {a[1]["x-oss-qos-delay-time"] for a in answers if b"TotalQps" in a[2]} == {"120"}
    store.limits(qps=0)
    assert answer(store)[0] == 200


def test_a_client_may_ask_to_be_served_slowly(store):
    start = time.monotonic()
    assert answer(store, **{"x-oss-traffic-limit": "4000000"}, **PART)[2] == part()
    assert 0.38 < time.monotonic() - start < 0.8
    assert answer(store, **{"x-oss-traffic-limit": "1000"})[0] == 400


def test_a_limit_can_be_lifted_in_mid_body(store):
    store.limits(per_connection_bps=1000)
    start = time.monotonic()
    lift = threading.Timer(0.3, lambda: store.limits(per_connection_bps=0))
    lift.start()
    assert answer(store)[2] == data()
    assert 0.25 < time.monotonic() - start < 5
    lift.join()


def test_every_answer_is_late_by_the_latency(store):
    store.limits(first_byte_ms=100)
    start = time.monotonic()
    assert [answer(store, method=m)[0] for m in ("GET", "HEAD")] == [200, 200]
    assert answer(store, "/bucket/?list-type=2")[0] == 200
    assert 0.3 <= time.monotonic() - start < 0.8


def test_the_clock_can_be_set(store):
    store.clock(at=1767323045)
    assert answer(store)[1]["date"].startswith("Fri, 02 Jan 2026 03:04:0")
    store.clock(offset_s=-3600)
    assert abs(time.time() - 3600 - http_time(answer(store)[1]["date"])) < 3


def http_time(text):
    return email.utils.parsedate_to_datetime(text).timestamp()


# ---- counters ----

def test_requests_and_bytes_are_counted(store):
    for _ in range(2):
        answer(store, **PART)
    answer(store, method="HEAD")
    listing = answer(store, "/bucket/?list-type=2")[2]
    with socket.create_connection((store.host, store.port), source_address=("127.0.0.3", 0)) as s:
        s.sendall(request())
        while s.recv(65536):
            pass
    c = store.wait_for(lambda c: c["connections_now"] == 0)
    assert {k: v for k, v in c["requests"].items() if v} == {"GET": 3, "HEAD": 1, "LIST": 1}
    assert c["by_key"][NAME] == {"requests": 4, "bytes": 400_000 + SIZE}
    assert c["by_source"]["127.0.0.3"] == {"requests": 1, "bytes": SIZE, "connections": 1}
    assert c["by_source"]["127.0.0.1"]["connections"] == 4
    assert c["bytes"] == 400_000 + SIZE + len(listing)
    assert c["connections_total"] == 5 and c["in_flight"] == 0 and c["peak_in_flight"] == 1
    assert c["cpu_seconds"] > 0
    key = store.counters(NAME)
    assert sorted(key["ranges"]) == [[0, SIZE - 1], [1000, 200_999], [1000, 200_999]]
    connections = store.counters(connections=True)["by_connection"]
    assert sorted(x["bytes"] for x in connections.values()) == sorted([0, 200_000, 200_000, SIZE, len(listing)])
    store.reset()
    assert store.counters()["bytes"] == 0 and store.counters(NAME)["ranges"] == []


def test_bytes_count_as_they_go(store):
    store.fault(f"GET {NAME}", "stall_at", at=70_000)
    with store.connect() as s:
        s.sendall(request())
        store.wait_for(lambda c: c["bytes"] == 70_000)
        assert store.counters()["in_flight"] == 1 or store.counters()["connections_now"] == 1


# ---- objects ----

def test_synthetic_bytes_are_as_defined(store):
    for size, seed in ((1, 3), (4096, 4), (5 * MiB + 17, 5)):
        store.synth("bucket/s.bin", size, seed=seed)
        _, fields, body, _ = answer(store, "/bucket/s.bin")
        assert body == synth_bytes(seed, 0, size)
        store.put("bucket/copy.bin", body)
        assert answer(store, "/bucket/copy.bin")[1]["x-oss-hash-crc64ecma"] == fields["x-oss-hash-crc64ecma"]


def test_the_checksum_of_a_synthetic_object_is_that_of_its_bytes(store):
    size = 150 * MiB + 4099  # the pattern has begun again twice
    store.synth("bucket/s.bin", size, seed=77)
    _, fields, body, _ = answer(store, "/bucket/s.bin")
    assert len(body) == size
    for first in (0, 67_096_576 - 8, 67_096_576 * 2 - 4000, size - 8000):
        assert body[first:first + 8000] == synth_bytes(77, first, min(8000, size - first))
    store.put("bucket/copy.bin", body)
    copy = answer(store, "/bucket/copy.bin", method="HEAD")[1]
    assert copy["x-oss-hash-crc64ecma"] == fields["x-oss-hash-crc64ecma"]


def test_a_synthetic_object_may_be_huge(store):
    size = 5 << 40
    store.synth("bucket/huge.bin", size, seed=8)
    for first in (0, 16381 * 4096 - 100, (1 << 40) + 12345, size - 9000):
        _, fields, body, _ = answer(store, "/bucket/huge.bin", Range=f"bytes={first}-{first + 8999}")
        assert body == synth_bytes(8, first, 9000)
        assert fields["content-range"] == f"bytes {first}-{first + 8999}/{size}"
    assert "x-oss-hash-crc64ecma" not in fields


def test_pages_of_synthetic_objects_differ(store):
    store.synth("bucket/p.bin", 9 * MiB, seed=1)
    body = answer(store, "/bucket/p.bin")[2]
    pages = {body[i:i + 4096] for i in range(0, len(body), 4096)}
    assert len(pages) == 9 * 256


def test_a_tree_of_millions_of_keys_lists_in_order(store):
    store.tree("forest", 3_000_000, dirs=1000, prefix="t/", size=10, size_max=20)

    def page(query):
        body = answer(store, f"/forest/?list-type=2&max-keys=1000&{query}")[2].decode()
        token = re.search("<NextContinuationToken>(.*)</NextContinuationToken>", body)
        return (re.findall("<Key>(.*?)</Key>", body), re.findall("<CommonPrefixes><Prefix>(.*?)</Prefix>", body),
                token and token.group(1))

    keys, groups, token = page("delimiter=/&prefix=t/")
    assert keys == [] and groups == [f"t/dir-{i:07}/" for i in range(1000)] and token is None
    keys, _, token = page("prefix=t/dir-0000999/")
    assert keys == [f"t/dir-0000999/file-{i:09}.bin" for i in range(2_997_000, 2_998_000)]
    more, _, _ = page(f"prefix=t/dir-0000999/&continuation-token={token}")
    assert more[0] == "t/dir-0000999/file-002998000.bin" and len(more) == 1000
    assert page("start-after=t/dir-0000999/file-002999998.bin")[0] == ["t/dir-0000999/file-002999999.bin"]
    status, fields, body, _ = answer(store, "/forest/t/dir-0000999/file-002999999.bin")
    assert status == 200 and 10 <= len(body) <= 20
    assert answer(store, "/forest/t/dir-0000998/file-002999999.bin")[0] == 404


@pytest.mark.parametrize("path", [NAME, "bucket/plain.bin"])
def test_a_replaced_object_has_other_bytes_and_another_tag(store, path):
    if path != NAME:
        store.put(path, data())
    else:
        store.synth(NAME, SIZE, seed=9)
    _, before, old, _ = answer(store, f"/{path}")
    store.replace(path)
    status, after, new, _ = answer(store, f"/{path}")
    assert status == 200 and len(new) == len(old) and new != old
    assert after["etag"] != before["etag"] and after["x-oss-hash-crc64ecma"] != before["x-oss-hash-crc64ecma"]
    assert answer(store, f"/{path}", If_Match=before["etag"])[0] == 412
    assert answer(store, f"/{path}", If_None_Match=after["etag"])[0] == 304
    store.synth(NAME, SIZE, seed=9)


def test_files_are_objects(store):
    file = store.write_file("bucket/by/hand.txt", b"one")
    _, first, body, _ = answer(store, "/bucket/by/hand.txt")
    assert body == b"one" and b"hand.txt" in answer(store, "/bucket/?prefix=by/")[2]
    file.write_bytes(b"three")
    status, second, body, _ = answer(store, "/bucket/by/hand.txt", If_None_Match=first["etag"])
    assert status == 200 and body == b"three" and second["etag"] != first["etag"]
    store.write_file("bucket/by/other.txt", b"2")
    assert b"other.txt" not in answer(store, "/bucket/?prefix=by/")[2]
    store.rescan()
    assert b"other.txt" in answer(store, "/bucket/?prefix=by/")[2]
    file.unlink()
    assert answer(store, "/bucket/by/hand.txt")[0] == 404
    assert b"hand.txt" not in answer(store, "/bucket/?prefix=by/")[2]


ODD = ["a//b", "/lead", "x/../y", "./z", "..", "dir/", "both", "both/inside", "with\nnewline", "tab\t\x01", "n" * 300,
       "k" * 1023, "%41", "a+b c", "ü/模型"]


def test_any_key_can_be_kept(store):
    for i, key in enumerate(ODD):
        store.put(f"odd/{key}", key.encode() * (i + 1))
    for i, key in enumerate(ODD):
        got = answer(store, "/odd/" + urllib.parse.quote(key))
        assert (got[0], got[2]) == (200, key.encode() * (i + 1)), key
    store.rescan()
    body = answer(store, "/odd/?encoding-type=url&max-keys=1000")[2].decode()
    keys = [urllib.parse.unquote(k) for k in re.findall("<Key>(.*?)</Key>", body)]
    assert keys == sorted(ODD, key=str.encode)
    for key in ODD:
        assert answer(store, "/odd/" + urllib.parse.quote(key), "DELETE")[0] == 204
    assert b"<Key>" not in answer(store, "/odd/")[2]
    assert list((store.root / ".ossstore").iterdir()) == []


def test_overwriting_goes_through_every_kind_of_place(store):
    store.put("bucket/t", b"file")
    store.put("bucket/t/u", b"beside it")
    store.synth("bucket/t", 3, seed=1)
    assert answer(store, "/bucket/t")[2] == synth_bytes(1, 0, 3)
    store.put("bucket/t/u", b"a file now")
    store.put("bucket/t", b"kept aside")
    store.rescan()
    assert answer(store, "/bucket/t")[2] == b"kept aside" and answer(store, "/bucket/t/u")[2] == b"a file now"


# ---- uploads by hand, and input that is no HTTP ----

def chunks(pieces, trailer=b"", extension=b""):
    out = b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces if p)
    return out + b"0" + extension + b"\r\n" + trailer + b"\r\n"


def test_a_chunked_body_is_put_together(store):
    pieces = [os.urandom(n) for n in (1, 70_000, 3, 262_144)]
    status, _, _, _ = answer(store, "/bucket/ch.bin", "PUT", chunks(pieces), Transfer_Encoding="chunked")
    assert status == 200 and answer(store, "/bucket/ch.bin")[2] == b"".join(pieces)


def test_aws_chunks_are_taken_apart_and_summed(store):
    pieces = [b"hello ", b"world"]
    body = chunks(pieces, b"x-amz-checksum-crc64nvme:jSnVw/bqjr4=\r\n")
    head = dict(x_amz_content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER", Content_Encoding="aws-chunked",
                x_amz_decoded_content_length=11, Content_Length=len(body))
    status, fields, text, _ = answer(store, "/bucket/aws.bin", "PUT", body, **head)
    assert status == 200 and fields["etag"] == f'"{hashlib.md5(b"hello world").hexdigest()}"', text
    assert (store.root / "bucket/aws.bin").read_bytes() == b"hello world"
    status, _, text, _ = answer(store, "/bucket/aws2.bin", "PUT", body.replace(b"world", b"World"), **head)
    assert status == 400 and b"BadDigest" in text and answer(store, "/bucket/aws2.bin")[0] == 404


def test_a_client_that_waits_for_continue_gets_it(store):
    with store.connect() as s:
        s.sendall(request("/bucket/c.bin", "PUT", Content_Length=3, Expect="100-continue"))
        assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(b"abc")
        assert s.recv(1000).startswith(b"HTTP/1.1 200 ")
    with store.connect() as s:
        s.sendall(request("/none/c.bin?acl", "PUT", Content_Length=3, Expect="100-continue"))
        got = s.recv(100)
        assert got.startswith(b"HTTP/1.1 100 ") or got.startswith(b"HTTP/1.1 501 ")


@pytest.mark.parametrize("head,status", [
    (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
    (b"GET\r\n\r\n", 400),
    (b"GET x HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/3.0\r\n\r\n", 505),
    (b"BREW / HTTP/1.1\r\n\r\n", 501),
    (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (b"PUT /bucket/x HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    (b"PUT /bucket/x HTTP/1.1\r\nHost: h\r\n\r\n", 411),
    (b"PUT /bucket/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
    (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 431),
    (b"GET /bucket/\0 HTTP/1.1\r\n\r\n", 400),
    (b"GET /?" + b"a&" * 100 + b" HTTP/1.1\r\n\r\n", 414),
])
def test_what_is_no_request_is_refused(store, head, status):
    with store.connect() as s:
        s.sendall(head)
        assert s.recv(100).startswith(b"HTTP/1.1 %d " % status)
    assert answer(store)[0] == 200


@pytest.mark.parametrize("query", ["prefix=%00abc", "prefix=%ff%fe", "delimiter=%00", "=", "&&=&a", "marker=" + "x" * 2000,
                                   "prefix=" + "%41" * 500, "delimiter=" + "abc" * 100])
def test_strange_queries_are_answered(store, query):
    assert answer(store, "/bucket/?" + query)[0] in (200, 400)
    assert answer(store)[0] == 200


def test_requests_in_one_packet_are_answered_in_turn(store):
    got, _ = raw(store, request(Range="bytes=0-9").replace(b"close", b"keep-alive") * 3 + request(Range="bytes=0-9"))
    assert got.count(b"HTTP/1.1 200 ") + got.count(b"HTTP/1.1 206 ") == 4 and got.count(data()[:10]) == 4


def test_a_reset_client_harms_nobody(store):
    for _ in range(20):
        with store.connect() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.sendall(request())
    store.wait_for(lambda c: c["connections_now"] == 0)
    assert answer(store)[2] == data()


# ---- the program ----

def test_several_addresses_and_a_ready_file(tmp_path):
    ready = tmp_path / "ready"
    with Store("--ready-file", str(ready), keys=[], listen=["127.0.0.1:0", "127.0.0.4:0"]) as store:
        assert json.loads(ready.read_text()) == store.ready
        assert [a.split(":")[0] for a in store.ready["all"]] == ["127.0.0.1", "127.0.0.4"]
        for address in store.ready["all"]:
            host, port = address.split(":")
            c = http.client.HTTPConnection(host, int(port))
            c.request("GET", "/bucket/?list-type=2")
            assert c.getresponse().status == 200


@pytest.mark.parametrize("args", [["--root", "/nonexistent/x"], [], ["--root", ".", "--key", "x"],
                                  ["--root", ".", "--listen", "127.0.0.1"], ["--root", ".", "--threads", "0"],
                                  ["--root", ".", "--dialect", "gcs"], ["--root", ".", "--listen", "192.0.2.1:0"],
                                  ["--root", ".", "--tls-listen", "127.0.0.1:0"], ["--what"]])
def test_wrong_options_are_one_line(args, tmp_path):
    out = subprocess.run([pathlib.Path(program()).resolve(), *args], capture_output=True, text=True, cwd=tmp_path,
                         timeout=20)
    assert out.returncode == 1 and out.stdout == "" and "ossstore" in out.stderr
