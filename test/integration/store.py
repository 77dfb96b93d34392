"""The test store as a Python object: starts the program in a private folder, and ends it.

    with Store() as store:
        store.put("bucket/models/w.bin", b"...")
        store.fault("GET bucket/models/*", "reset_at", at=1000, times=1)
        ... store.endpoint, store.counters() ...

Only the standard library.  The program is $OSSSTORE, or test/ossstore in the build folder $B, or
build/release/test/ossstore.
"""

import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

AK = "LTAI5tTestAccessKeyId0001"
SK = "TestSecret0123456789abcdefABCDEF"
TOP = pathlib.Path(__file__).resolve().parents[2]
MASK = (1 << 64) - 1


def program():
    """Where the store lies."""
    if os.environ.get("OSSSTORE"):
        return pathlib.Path(os.environ["OSSSTORE"])
    build = pathlib.Path(os.environ.get("B", "build/release"))
    return (build if build.is_absolute() else TOP / build) / "test" / "ossstore"


def _mix(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def synth_bytes(seed, offset, length, version=0):
    """The bytes of a synthetic object, as test/server/synth.h defines them (slow: for samples)."""
    if version:
        seed = _mix((seed + version) & MASK)
    mixed = _mix(seed & MASK)
    out = bytearray()
    for w in range(offset // 8, (offset + length + 7) // 8):
        page = w >> 9
        if page % 256 == 0:
            value = _mix(mixed ^ w)
        else:
            value = _mix((page % 16381 + mixed % 16381) % 16381 * 512 + (w & 511))
        out += value.to_bytes(8, "little")
    start = offset % 8
    return bytes(out[start : start + length])


class StoreError(RuntimeError):
    """The control URL refused a command."""


class Store:
    """One running test store."""

    ak = AK
    sk = SK

    def __init__(self, *args, keys=None, root=None, buckets=("bucket",), anonymous=(), region=None,
                 threads=None, tls=None, listen=(), verbose=False):
        """args: further options of the program.  keys: (AK, SK[, TOKEN[, EXPIRY]]) each, default
        one long-term key; [] for a store that serves everybody.  tls: (certificate, key) files.
        """
        self._temp = None
        self._process = None
        self._log = None
        self._ended = False
        if root is None:
            self._temp = tempfile.mkdtemp(prefix="ossstore-")
            root = os.path.join(self._temp, "root")
            os.mkdir(root)
        self.root = pathlib.Path(root)
        self.region = region or "cn-hangzhou"
        for bucket in buckets:
            (self.root / bucket).mkdir(exist_ok=True)
        command = [str(program()), "--root", str(self.root)]
        for key in [(AK, SK)] if keys is None else keys:
            command += ["--key", key if isinstance(key, str) else ":".join(str(p) for p in key)]
        for bucket in anonymous:
            command += ["--anonymous", bucket]
        command += ["--region", self.region]
        if threads is not None:
            command += ["--threads", str(threads)]
        for where in listen:
            command += ["--listen", where]
        if tls is not None:
            command += ["--tls-cert", str(tls[0]), "--tls-key", str(tls[1]),
                        "--tls-listen", "127.0.0.1:0"]
        if verbose:
            command.append("--verbose")
        self._command = command + list(args)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL,
                                         stdout=subprocess.PIPE, stderr=self._log)
        line = b""
        deadline = time.monotonic() + 60
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            ready = select.select([self._process.stdout], [], [], max(left, 0))[0]
            piece = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            if not piece:
                raise RuntimeError(f"{' '.join(self._command)}: no ready line; it wrote: {self.log()}")
            line += piece
        self.ready = json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- where it is ----

    @property
    def pid(self):
        return self._process.pid

    @property
    def http(self):
        """ADDRESS:PORT of plain HTTP."""
        return self.ready["http"]

    @property
    def host(self):
        return self.http.rsplit(":", 1)[0]

    @property
    def port(self):
        return int(self.http.rsplit(":", 1)[1])

    @property
    def endpoint(self):
        return f"http://{self.http}"

    @property
    def https_endpoint(self):
        return f"https://{self.ready['https']}"

    def log(self):
        """What it wrote to stderr so far (with verbose=True one line a request)."""
        at = self._log.seek(0, os.SEEK_CUR)
        self._log.seek(0)
        text = self._log.read().decode(errors="replace")
        self._log.seek(at)
        return text

    # ---- objects ----

    def write_file(self, path, data):
        """Put bytes under the root without the protocol.  path: "bucket/key"."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(file.name + ".part")
        part.write_bytes(data)
        part.rename(file)
        return file

    def put(self, path, data=None, *, size=None, seed=1):
        """An object with these bytes, or with `size` reproducible ones; returns the bytes.

        path is "bucket/key" with any key.  Goes past signatures, faults and counters.
        """
        if data is None:
            data = synth_bytes(seed, 0, size)
        bucket, key = path.split("/", 1)
        query = urllib.parse.urlencode({"bucket": bucket, "key": key}, quote_via=urllib.parse.quote)
        self._ask(f"put?{query}", data, "PUT")
        return data

    def synth(self, path, size, seed=1, **more):
        """A synthetic object.  path: "bucket/key"."""
        bucket, key = path.split("/", 1)
        self.control("synth", {"bucket": bucket, "key": key, "size": size, "seed": seed, **more})

    def tree(self, bucket, keys, dirs=1, **more):
        """A synthetic listing: prefix, size, size_max, seed."""
        self.control("synth", {"bucket": bucket, "keys": keys, "dirs": dirs, **more})

    def replace(self, path, **more):
        """Another version of an object: other bytes, another ETag."""
        bucket, key = path.split("/", 1)
        self.control("replace", {"bucket": bucket, "key": key, **more})

    def set_object(self, path, **meta):
        """etag, type, storage_class, restore, content_type, last_modified, crc."""
        bucket, key = path.split("/", 1)
        self.control("object", {"bucket": bucket, "key": key, **meta})

    def rescan(self):
        self.control("rescan")

    # ---- behaviour ----

    def fault(self, match, action, **args):
        """match: "GET bucket/key*", "LIST bucket", ...; the actions are in test/server/README.md."""
        self.control("fault", {"match": match, "action": action, **args})

    def clear(self):
        self.control("clear")

    def limits(self, **limits):
        """first_byte_ms, per_connection_bps, total_bps (bytes a second), qps; 0 takes one away."""
        self.control("limits", limits)

    def clock(self, offset_s=None, at=None):
        self.control("clock", {"offset_s": offset_s} if at is None else {"at": at})

    def keys(self, ak, sk="", token="", expires=0, remove=False):
        """Add a key or replace the one of that id."""
        self.control("keys", {"ak": ak, "sk": sk, "token": token, "expires": int(expires),
                              "remove": remove})

    def bucket(self, name, endpoint=None, anonymous=False):
        """Make a bucket; with an endpoint it must be asked for there."""
        command = {"bucket": name, "anonymous": anonymous}
        if endpoint is not None:
            command["endpoint"] = endpoint
        self.control("bucket", command)

    # ---- counters ----

    def counters(self, key=None, connections=False):
        """All counters, or those of one "bucket/key" with the ranges that were asked for."""
        query = {}
        if key is not None:
            query["key"] = key
        if connections:
            query["connections"] = "1"
        tail = "?" + urllib.parse.urlencode(query, quote_via=urllib.parse.quote) if query else ""
        return self._ask("counters" + tail)

    def reset(self):
        self.control("reset")

    def settle(self, timeout=60):
        """Wait until the store has found all checksums and so uses no CPU of its own."""
        deadline = time.monotonic() + timeout
        while self.counters()["crc_pending"]:
            if time.monotonic() > deadline:
                raise StoreError("checksums are still being reckoned")
            time.sleep(0.02)

    def wait_for(self, true, timeout=10):
        """Poll the counters until true(counters); returns them."""
        deadline = time.monotonic() + timeout
        while True:
            counters = self.counters()
            if true(counters):
                return counters
            if time.monotonic() > deadline:
                raise StoreError(f"this did not come about: {counters}")
            time.sleep(0.01)

    # ---- plumbing ----

    def control(self, command, document=None):
        """POST one command; a dict, or a list of dicts."""
        return self._ask(command, json.dumps({} if document is None else document).encode())

    def _ask(self, path, data=None, method="POST"):
        request = urllib.request.Request(f"{self.ready['control']}/{path}", data=data,
                                         method="GET" if data is None else method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise StoreError(error.read().decode(errors="replace").strip()) from None

    def connect(self, timeout=10):
        """A plain socket to it."""
        return socket.create_connection((self.host, self.port), timeout=timeout)

    def close(self):
        """End the program and remove what was made.  Raises if it did not end as it should."""
        if self._ended:
            return
        self._ended = True
        status, text = 0, ""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
            try:
                status = self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                status = self._process.wait()
            self._process.stdout.close()
        if self._log is not None:
            text = self.log()
            self._log.close()
        if self._temp is not None:
            shutil.rmtree(self._temp, ignore_errors=True)
        if status != 0 and self._process is not None and hasattr(self, "ready"):
            raise RuntimeError(f"the store ended with {status}: {text[-4000:]}")
