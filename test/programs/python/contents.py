"""Reading in every way that the standard library knows."""
import bz2
import csv
import fileinput
import gzip
import hashlib
import io
import json
import lzma
import mmap
import os
import pickle
import selectors
import sys
import tarfile
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor

D = sys.argv[1]
WEIGHTS = D + "/gguf/model-q8_0.gguf"
LINES = D + "/text/lines.txt"


def crc(b):
    return f"{zlib.crc32(b):08x}"


with open(WEIGHTS, "rb") as f:
    print(crc(f.read()), f.tell(), f.seek(100), crc(f.read(5000)), f.peek(3)[:3], f.read1(7) != b"", f.seekable(), f.writable())
    own = bytearray(10000)
    print(f.readinto(own), crc(own), f.seek(-100, io.SEEK_END), len(f.read()), hashlib.file_digest(open(WEIGHTS, "rb"), "sha256").hexdigest())
with open(WEIGHTS, "rb", buffering=0) as f:
    print(crc(f.readall()), f.read(), os.pread(f.fileno(), 4099, 1048000)[-5:], os.preadv(f.fileno(), [own, bytearray(70000)], 5), crc(own),
          os.readv(f.fileno(), [own]), os.lseek(f.fileno(), 0, os.SEEK_DATA), os.lseek(f.fileno(), 0, os.SEEK_HOLE))
    os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
    print(os.isatty(f.fileno()), os.get_blocking(f.fileno()), os.get_inheritable(f.fileno()))
with open(LINES) as f:
    print(f.readline(), len(f.readlines(100000)), sum(len(line) for line in f), f.encoding)
    f.seek(0)
    next(f)
    try:
        f.tell()
    except OSError as e:
        print(e)
with open(D + "/text/crlf.txt", newline="") as f:
    print(list(f))
print(open(D + "/text/crlf.txt").read(), open(D + "/text/utf8.txt", encoding="utf-8").read(12), open(D + "/empty").read() == "")

with open(WEIGHTS, "rb") as f:
    for access, prot in ((mmap.ACCESS_READ, None), (mmap.ACCESS_COPY, None)):
        with mmap.mmap(f.fileno(), 0, access=access) as m:
            print(crc(m), m.find(b"llama"), m[:4], m[-4:].hex(), len(m), m.rfind(b"GGUF"))
            if access == mmap.ACCESS_COPY:
                m[:4] = b"mine"
                print(m[:6], crc(m))
    with mmap.mmap(f.fileno(), 8192, offset=mmap.ALLOCATIONGRANULARITY * 3, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE) as m:
        m.madvise(mmap.MADV_WILLNEED)
        m.seek(100)
        print(crc(m), crc(m.read(50)), m.readline()[:8])
    print(f.read(4))

print(json.load(open(D + "/config.json")), len(json.load(open(D + "/tokenizer.json"))["model"]["vocab"]))
print(sum(float(row[2]) for row in csv.reader(open(D + "/text/table.csv", newline=""))))
state = pickle.load(open(D + "/arrays/state.pkl", "rb"))
print(len(state), crc(b"".join(state.values())))
for opener, name in ((gzip.open, "lines.gz"), (bz2.open, "lines.bz2"), (lzma.open, "lines.xz")):
    with opener(f"{D}/archives/{name}") as f:
        f.seek(100000)
        print(crc(f.read(1000)), crc(f.read()))
with zipfile.ZipFile(D + "/archives/files.zip") as z:
    print(z.testzip(), [(i.filename, i.file_size, crc(z.read(i))) for i in z.infolist()])
    with z.open("lines.txt") as f:
        f.seek(5000)
        print(f.readline())
for name in "files.tar", "files.tar.gz", "files.tar.xz":
    with tarfile.open(f"{D}/archives/{name}") as t:
        print([(m.name, m.size, crc(t.extractfile(m).read())) for m in t.getmembers()])

with fileinput.input([LINES, D + "/src/plus.h"]) as lines:
    print(sum(1 for _ in lines), lines.lineno())
with ThreadPoolExecutor(8) as pool:
    def part(i):
        with open(D + "/model-00001-of-00002.safetensors", "rb") as f:
            f.seek(i * 150001)
            return crc(f.read(200003))
    print(list(pool.map(part, range(34))))
    fd = os.open(D + "/model-00002-of-00002.safetensors", os.O_RDONLY)
    print(list(pool.map(lambda i: crc(os.pread(fd, 100001, i * 99991)), range(50))))

# A file cannot be waited for: epoll refuses it, poll and select say it is ready.
f = open(LINES, "rb")
for kind in selectors.PollSelector, selectors.SelectSelector, selectors.EpollSelector:
    with kind() as s:
        try:
            s.register(f, selectors.EVENT_READ)
            print(kind.__name__, len(s.select(0)))
        except PermissionError as e:
            print(kind.__name__, e)
first, second = os.dup(f.fileno()), os.dup2(f.fileno(), 50)
os.lseek(first, 77, os.SEEK_SET)
print(os.read(second, 10), os.lseek(f.fileno(), 0, os.SEEK_CUR))
