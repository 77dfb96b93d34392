"""A client of the control socket in plain Python, as honest or hostile as a test wants it.

    with Session(daemon.socket) as s:
        s.hello(); mount = s.mount(oss_path=..., endpoint=...); file = s.open(mount, "w.bin")

The layouts are those of common/wire.h.
"""
import mmap
import os
import socket
import struct
import time

MAGIC = 0x4353534F
VERSION = 1
HEAD = struct.Struct("<IHHIiII")
(HELLO, MOUNT, SNAPSHOT, OPEN, CLOSE, PIN, UNPIN, PREFETCH, UMOUNT, STATUS, VERIFY, LIST) = range(1, 13)
SECONDARY, MOUNT_PREFETCH, KEEP, REFRESH, PARTS = 1, 2, 4, 8, 16
STRINGS = ("oss_path", "model_dir", "endpoint", "region", "access_key", "secret", "token", "sources")
SESSION_LEN = 512 + 1024 * 24 + 1024 * 16 + 4096 * 8
RING_TAIL = 64  # of the submission ring, in the session's memory
TOUCH_TAIL = 2 * 192 + 64


class Refused(Exception):
    """The daemon's answer was an errno and a sentence."""

    def __init__(self, status, text):
        super().__init__(f"{os.strerror(-status)}: {text}")
        self.errno, self.text = -status, text


class Gone(Exception):
    """The daemon closed the session."""


class Answer:
    def __init__(self, body, fds):
        self.body, self.fds = body, fds


class Session:
    def __init__(self, path, timeout=10):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(timeout)
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.socket.connect(str(path))
                break
            except ConnectionRefusedError:  # bound a moment ago, and about to listen
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.001)
        self.seq = 0
        self.fds = []
        self.memory = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.memory is not None:
            self.memory.close()  # else the daemon takes us for somebody who reads on
            self.memory = None
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def send(self, kind, body=b"", **more):
        """Any member of the head may be wrong: magic=, version=, seq=, status=, len=."""
        self.seq += 1
        head = {"magic": MAGIC, "version": VERSION, "type": kind, "seq": self.seq, "status": 0,
                "len": HEAD.size + len(body), "reserved": 0, **more}
        self.send_bytes(HEAD.pack(*head.values()) + body)

    def send_bytes(self, packet):
        try:
            self.socket.send(packet)
        except (BrokenPipeError, ConnectionResetError):
            raise Gone from None

    def receive(self):
        try:
            data, fds, _, _ = socket.recv_fds(self.socket, 16384, 8)
        except ConnectionResetError:
            raise Gone from None
        self.fds += fds
        if not data:
            raise Gone
        _, _, _, _, status, length, _ = HEAD.unpack_from(data)
        assert length == len(data)
        if status < 0:
            raise Refused(status, data[HEAD.size:].split(b"\0")[0].decode())
        return Answer(data[HEAD.size:], fds)

    def call(self, kind, body=b"", **more):
        self.send(kind, body, **more)
        return self.receive()

    # ---- what an honest client says ----

    def hello(self, version=VERSION):
        a = self.call(HELLO, struct.pack("<II32s", version, 0, b"test"))
        self.memory = mmap.mmap(a.fds[0], SESSION_LEN)
        self.kick = a.fds[1]
        return a

    def mount(self, flags=0, **strings):
        """-> (number, chunk shift, serial, snapshot bytes, table bytes), [table, snapshot]."""
        parts = [strings.get(name, "").encode() for name in STRINGS]
        a = self.call(MOUNT, struct.pack("<I8HI", flags, *map(len, parts), 0) + b"".join(parts))
        return struct.unpack_from("<IIQQQ", a.body), a.fds

    def mount_of(self, d, flags=0, **strings):
        """Mount what the harness's Daemon would."""
        env = d.env()
        given = {"oss_path": env["OSS_PATH"], "endpoint": env["OSS_ENDPOINT"], "region": env["OSS_REGION"],
                 "access_key": env.get("OSS_ACCESS_KEY_ID", ""), "secret": env.get("OSS_ACCESS_KEY_SECRET", "")}
        return self.mount(flags, **{**given, **strings})

    def open(self, mount, path):
        """-> object, size, first word, descriptor."""
        name = path.encode()
        a = self.call(OPEN, struct.pack("<IHH", mount, len(name), 0) + name)
        number, _, size, word = struct.unpack_from("<IIQQ", a.body)
        return number, size, word, a.fds[0]

    def pin(self, number, first, nr, kind=PIN):
        return self.call(kind, struct.pack("<IIII", number, first, nr, 0))

    def poke(self, offset, value):
        """Write 32 bits of the session's memory, and wake the daemon."""
        struct.pack_into("<I", self.memory, offset, value & 0xFFFFFFFF)
        os.write(self.kick, struct.pack("<Q", 1))
