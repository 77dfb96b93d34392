"""A first listing that takes long: what is asked for by then is listed by itself, and nothing that is there is missing."""
import bisect
import collections
import http.server
import random
import struct
import subprocess
import sys
import threading
import urllib.parse
import xml.sax.saxutils

import pytest

import wire
from test_listing import listed, wait_until

PAGE = 7


class Held(http.server.ThreadingHTTPServer):
    """A store that answers listings without a delimiter, but for the first page, only once it is told to."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, keys, page=PAGE):
        super().__init__(("127.0.0.1", 0), Answer)
        self.keys, self.names, self.page = keys, sorted(keys), page
        self.gate = threading.Event()
        self.asked = collections.Counter()  # prefixes of pages with a delimiter
        self.whole = 0
        self.refused = set()
        self.known = {}

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_port}"

    def below(self, prefix, delimiter):
        """Names directly below, in order: keys, and what ends in the delimiter for all keys that begin so."""
        if (prefix, delimiter) in self.known:
            return self.known[prefix, delimiter]
        at, found = bisect.bisect_left(self.names, prefix), []
        while at < len(self.names) and self.names[at].startswith(prefix):
            name = self.names[at]
            cut = name.find("/", len(prefix)) if delimiter else -1
            found.append(name if cut < 0 else name[:cut + 1])
            at = at + 1 if cut < 0 else bisect.bisect_left(self.names, name[:cut] + "0")
        self.known[prefix, delimiter] = found
        return found

    def list(self, query):
        def get(name):
            return query.get(name, [""])[0]

        prefix = get("prefix")
        if get("delimiter"):
            self.asked[prefix] += 1
            if prefix in self.refused:
                return 403, "<Error><Code>AccessDenied</Code><Message>not for you</Message></Error>"
        else:
            self.whole += 1
            if get("continuation-token") or get("start-after"):
                self.gate.wait(60)
        found = self.below(prefix, get("delimiter"))
        after = get("continuation-token") or get("start-after")
        at = bisect.bisect_right(found, after)
        page = found[at:at + self.page]
        more = at + len(page) < len(found)
        text = "".join(
            f"<CommonPrefixes><Prefix>{xml.sax.saxutils.escape(name)}</Prefix></CommonPrefixes>" if name.endswith("/") else
            f'<Contents><Key>{xml.sax.saxutils.escape(name)}</Key><Size>{len(self.keys[name])}</Size><ETag>"e{len(name)}"</ETag>'
            "<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>" for name in page)
        token = f"<NextContinuationToken>{xml.sax.saxutils.escape(page[-1])}</NextContinuationToken>" if more else ""
        return 200, f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{text}</ListBucketResult>"


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def reply(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        key = urllib.parse.unquote(url.path).split("/", 2)[-1]
        if key in ("", "models"):
            status, text = self.server.list(query)
            self.reply(status, text.encode())
            return
        body = self.server.keys[key]
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        part = body[int(first):int(last) + 1]
        self.reply(206, part, ETag=f'"e{len(key)}"',
                   Content_Range=f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}")

    def log_message(self, *args):
        pass


def a_bucket():
    keys = {f"m/{d}/{e}/file-{i:03d}": f"{d}{e}{i}".encode() for d in "abc" for e in "xyz" for i in range(20)}
    keys["m/a/x/weights.bin"] = random.Random(1).randbytes(300_000)
    keys["m/top.txt"] = b"top"
    return keys


@pytest.fixture
def held():
    """held(keys, ...) -> a store that holds its long listings."""
    servers = []

    def start(*args, **kw):
        server = Held(*args, **kw)
        servers.append(server)
        threading.Thread(target=server.serve_forever).start()
        return server

    yield start
    for server in servers:
        server.gate.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def start(start_daemon):
    def begin(server, **conf):
        return start_daemon({"verify": "off", **conf}, prefix="m/", scheme="s3", endpoint=server.endpoint)
    return begin


def files(keys):
    return sorted(key[2:] for key in keys)


def found(d, *more):
    out = d.run("find", d.path(), "-type", "f", "-printf", "%P\n")
    assert out.returncode == 0, out.stderr
    return sorted(out.stdout.decode().splitlines())


def test_names_are_found_read_and_missed_before_a_long_listing_has_ended(held, start):
    keys = a_bucket()
    server = held(keys)
    d = start(server)
    assert d.run("cat", d.path("a/x/weights.bin")).stdout == keys["m/a/x/weights.bin"]
    # One listing of each directory on the way, all its pages, and no other.
    pages = {"m/": 1, "m/a/": 1, "m/a/x/": 3}
    assert server.asked == pages
    # What is known is not asked for again, by whomever; what is not there is known not to be.
    missing = d.run("cat", d.path("a/x/file-999"), d.path("a/none/at/all"), d.path("none"))
    assert missing.returncode == 1 and missing.stderr.count(b"No such file or directory") == 3, missing.stderr
    assert d.run("ls", d.path("a/x"), role=2).stdout.decode().split() == [f"file-{i:03d}" for i in range(20)] + ["weights.bin"]
    assert d.run("stat", "-c", "%F", d.path("b")).stdout == b"directory\n"
    assert server.asked == pages
    # A local file beside names that are not known yet, and a walk of all.
    made = d.run("sh", "-c", f'mkdir -p "{d.path("b/x")}" && echo mine >"{d.path("b/x/mine")}" && cat "{d.path("b/x/mine")}"')
    assert made.stdout == b"mine\n", made.stderr
    assert found(d) == sorted(files(keys) + ["b/x/mine"])
    assert server.asked == {"m/": 1, **{f"m/{x}/": 1 for x in "abc"},
                            **{f"m/{x}/{y}/": 3 for x in "abc" for y in "xyz"}}
    assert not server.gate.is_set()


def test_a_reader_from_before_goes_on_when_the_whole_listing_has_come(held, start):
    keys = a_bucket()
    server = held(keys)
    d = start(server)
    program = ("import os,sys; f=open(sys.argv[1],'rb'); print(len(f.read()), flush=True); sys.stdin.readline();"
               "f.seek(0); print(len(f.read()), sorted(os.listdir(sys.argv[2])), flush=True)")
    p = subprocess.Popen([sys.executable, "-c", program, d.path("a/x/weights.bin"), d.path("c")], env=d.preload(),
                         text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert p.stdout.readline() == "300000\n"
    # Who needs all waits for all.
    ls = subprocess.Popen([d.env()["OSSC_DAEMON"].replace("osscd", "ossc"), "ls", "-R"], env=d.env(),
                          stdout=subprocess.PIPE, text=True)
    wait_until(lambda: d.status()["mounts"][0]["sessions"] == 2, "ls does not wait")
    assert ls.poll() is None
    server.gate.set()
    out, _ = ls.communicate(timeout=60)
    assert [name for name in out.splitlines() if not name.endswith("/")] == files(keys)
    out, _ = p.communicate("\n", timeout=60)
    assert out == "300000 ['x', 'y', 'z']\n"
    # Nothing is asked for by itself any more.
    asked = dict(server.asked)
    assert found(d) == files(keys) and server.asked == asked


def test_a_directory_that_may_not_be_listed_is_refused_not_missing(held, start):
    server = held(a_bucket())
    server.refused.add("m/b/")
    d = start(server, network={"retrySec": 1})
    out = d.run("cat", d.path("b/x/file-001"))
    assert out.returncode == 1 and b"Permission denied" in out.stderr, out.stderr
    out = d.run("ls", d.path("b"))
    assert out.returncode != 0 and out.stdout == b"" and b"Permission denied" in out.stderr, out.stderr
    assert d.run("cat", d.path("top.txt")).stdout == b"top"


def test_a_root_that_may_not_be_listed_is_for_the_whole_listing_to_judge(held, start):
    keys = a_bucket()
    server = held(keys)
    server.refused.add("m/")
    d = start(server, network={"retrySec": 1})
    p = subprocess.Popen(["cat", d.path("top.txt")], env=d.preload(), stdout=subprocess.PIPE)
    wait_until(lambda: server.asked["m/"] == 1, "the root is not asked for")
    server.gate.set()
    assert p.communicate(timeout=60)[0] == b"top"


def test_a_directory_too_large_to_be_listed_by_itself_comes_with_all(held, start):
    keys = {f"m/wide/{i:05d}": b"" for i in range(25_000)}
    keys["m/small/file"] = b"small"
    server = held(keys, page=1000)
    d = start(server)
    assert d.run("cat", d.path("small/file")).stdout == b"small"
    p = subprocess.Popen(["ls", "-f", d.path("wide")], env=d.preload(), stdout=subprocess.PIPE, text=True)
    wait_until(lambda: server.asked["m/wide/"] >= 20, "it is not tried")
    assert p.poll() is None
    server.gate.set()
    names = p.communicate(timeout=60)[0].split()
    assert sorted(names) == sorted([".", "..", *(f"{i:05d}" for i in range(25_000))])
    assert server.asked["m/wide/"] <= 21 and server.asked["m/small/"] == 1


def test_who_walks_through_many_directories_waits_for_all(held, start):
    keys = {f"m/{i:03d}/{name}": b"" for i in range(300) for name in "ab"}
    server = held(keys, page=400)  # one page of the root, two of all
    d = start(server)
    p = subprocess.Popen(["find", d.path(), "-type", "f", "-printf", "%P\n"], env=d.preload(), stdout=subprocess.PIPE, text=True)
    wait_until(lambda: sum(server.asked.values()) == 256, "fewer are listed by themselves", 60)
    assert p.poll() is None
    server.gate.set()
    assert sorted(p.communicate(timeout=60)[0].splitlines()) == files(keys)
    assert sum(server.asked.values()) == 256 == len(server.asked)


def test_a_new_daemon_in_the_middle_of_it_knows_what_programs_have_open(held, start):
    keys = {"m/a/b/w.bin": random.Random(2).randbytes(20 << 20), "m/a/b/v": b"v", **{f"m/c/{i}": b"" for i in range(PAGE)}}
    server = held(keys)
    d = start(server)
    program = ("import os,sys; fd=os.open(sys.argv[1],os.O_RDONLY); print(os.pread(fd,9,0).hex(), flush=True);"
               "sys.stdin.readline(); print(os.pread(fd,9,17<<20).hex(), open(sys.argv[2]).read(), flush=True)")
    p = subprocess.Popen([sys.executable, "-c", program, d.path("a/b/w.bin"), d.path("a/b/v")], env=d.preload(), text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    body = keys["m/a/b/w.bin"]
    assert p.stdout.readline() == body[:9].hex() + "\n"
    d.kill()
    d.start()
    out, _ = p.communicate("\n", timeout=60)
    assert out == f"{body[17 << 20:][:9].hex()} v\n"
    assert server.asked == {"m/": 2, "m/a/": 2, "m/a/b/": 2}


def test_a_directory_is_asked_for_by_its_own_name_however_a_client_writes_it(held, start):
    server = held(a_bucket())
    d = start(server)
    with wire.Session(d.socket, timeout=60) as s:
        s.hello()
        (mount, *_), _ = s.mount_of(d, wire.PARTS, oss_path="s3://models/m/")
        for name in ("a/", "b/../a", "./a//", "a/x/", "a/./y"):
            s.call(wire.LIST, struct.pack("<IHH", mount, len(name), 0) + name.encode())
    assert server.asked == {"m/": 1, "m/a/": 1, "m/a/x/": 3, "m/a/y/": 3}
