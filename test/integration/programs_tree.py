"""The directory that real programs are run on: what lies beside a model, with reproducible bytes.

Every file has mode 0444 and a whole second as its time, as an object in a store has; no directory
is empty, since a store has none.  About 24 MiB, in names that shells and archivers stumble over.
"""
import bz2
import csv
import gzip
import io
import json
import lzma
import os
import pathlib
import pickle
import random
import sqlite3
import struct
import subprocess
import tarfile
import zipfile
import zlib

import numpy

import model

MiB = 1 << 20
FIRST_TIME = 1614834367  # 2021-03-04 05:06:07 UTC

ODD_NAMES = ["a b", "quote'd", 'double"quoted', "größe-模型.txt", "new\nline", "-dash", "*star", "back\\slash",
             ".hidden", "#hash", "semi;colon", "$HOME", "tab\there", "per%20cent", "a+b=c&d", "~", "ends with space "]

SOURCES = {
    "plus.h": "int plus(int a, int b);\n#define GREETING \"hello from the bucket\"\n",
    "plus.c": '#include "plus.h"\n\nint plus(int a, int b)\n{\n\treturn a + b;\n}\n',
    "hello.c": '#include <stdio.h>\n#include "plus.h"\n#include "sub/deep.h"\n\nint main(void)\n{\n'
               '\treturn printf("%s %d\\n", GREETING, plus(DEEP, 2)) < 0;\n}\n',
    "sub/deep.h": "#pragma once\n#define DEEP 40\n",
    "hello.cpp": '#include <iostream>\n#include "sub/deep.h"\n\nint main()\n{\n\tstd::cout << DEEP << std::endl;\n}\n',
    "Makefile": "SRC := $(dir $(lastword $(MAKEFILE_LIST)))\n-include $(SRC)settings.mk\n\nhello: hello.o plus.o\n"
                "\t$(CC) -o $@ $^\n\n%.o: $(SRC)%.c $(SRC)plus.h\n\t$(CC) -I$(SRC) -c -o $@ $<\n",
    "settings.mk": "CC := gcc\n",
    "functions.sh": "greet() {\n\techo \"greetings, $1\"\n}\nwhere=bucket\n",
    "script.sh": "#!/bin/sh\necho \"$0\" | sed 's,.*/,,'\nread -r first < \"$1\"\necho \"$first\"\n",
    "sums.awk": "{ sum += $1 }\nEND { print NR, sum }\n",
    "edit.sed": "s/line/row/\n3q\n",
    "package/__init__.py": "from .inner import answer\n",
    "package/inner.py": "def answer():\n    return 42\n",
    "module.js": "module.exports = { answer: 42 };\n",
    "Module.pm": "package Module;\nsub answer { 42 }\n1;\n",
    "query.sql": "select count(*), sum(size) from tensor;\n",
}


def texts():
    rng = random.Random("texts")
    lines = [f"line {i} {rng.randrange(1 << 40):x}" for i in range(20000)]
    words = [rng.choice(["alpha", "beta", "gamma", "delta", "omega"]) for _ in range(30000)]
    left, right = [f"{i:05d} l{i * 7 % 31}" for i in range(0, 3000, 2)], [f"{i:05d} r{i * 5 % 37}" for i in range(0, 3000, 3)]
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([[i, f"name, {i}", rng.random()] for i in range(2000)])
    return {
        "lines.txt": "\n".join(lines) + "\n",
        "numbers.txt": "".join(f"{rng.randrange(100000)}\n" for _ in range(20000)),
        "words.txt": "\n".join(words) + "\n",
        "left.txt": "\n".join(left) + "\n",
        "right.txt": "\n".join(right) + "\n",
        "table.csv": table.getvalue(),
        "no newline at end.txt": "one\ntwo\nthree",
        "crlf.txt": "one\r\ntwo\r\nthree\r\n",
        "utf8.txt": "größe\n模型\nnaïve café\n" * 50,
        "long line.txt": "x" * 70000 + " end\n",
    }


def png(width, height, pixel):
    """A valid PNG of 8-bit RGB; pixel(x, y) -> three bytes."""
    def piece(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    rows = b"".join(b"\0" + b"".join(pixel(x, y) for x in range(width)) for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + piece(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + piece(b"IDAT", zlib.compress(rows)) + piece(b"IEND", b""))


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def make_archives(root, members):
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as t:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), FIRST_TIME, 0o644
            t.addfile(entry, io.BytesIO(content))
    lines = members["lines.txt"]
    packed = {"files.tar": tar.getvalue(), "files.tar.gz": gzip.compress(tar.getvalue(), mtime=0),
              "files.tar.xz": lzma.compress(tar.getvalue()), "lines.gz": gzip.compress(lines, mtime=0),
              "lines.bz2": bz2.compress(lines), "lines.xz": lzma.compress(lines)}
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w") as z:
        for name, content in members.items():
            z.writestr(zipfile.ZipInfo(name, (2021, 3, 4, 5, 6, 8)), content,
                       zipfile.ZIP_DEFLATED if name.endswith("txt") else zipfile.ZIP_STORED)
    packed["files.zip"] = box.getvalue()
    packed["module.zip"] = packed_module()
    for name, content in packed.items():
        write(root / name, content)


def packed_module():
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w") as z:
        z.writestr(zipfile.ZipInfo("zipped.py", (2021, 3, 4, 5, 6, 8)), "def answer():\n    return 42\n")
    return box.getvalue()


def make_database(path):
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.execute("create table tensor(name text primary key, size integer, head blob)")
    rng = random.Random("database")
    db.executemany("insert into tensor values(?, ?, ?)",
                   [(f"layer.{i}", rng.randrange(1 << 30), rng.randbytes(100)) for i in range(5000)])
    db.execute("create index by_size on tensor(size)")
    db.commit()
    db.close()


def make_arrays(root):
    root.mkdir()
    rng = numpy.random.RandomState(7)
    square = rng.rand(256, 512)
    numpy.save(root / "square.npy", square)
    numpy.save(root / "fortran.npy", numpy.asfortranarray(rng.randint(0, 1 << 30, (300, 200))))
    rng.rand(100000).astype("<f4").tofile(root / "raw.f32")
    numpy.savez(root / "several.npz", a=numpy.arange(1000), b=square[:4])
    write(root / "state.pkl", pickle.dumps({f"w{i}": rng.bytes(1000) for i in range(300)}, protocol=4))


def make_binaries(src, out):
    """What a compiler makes: an object, an archive, a library, a program."""
    out.mkdir()

    def gcc(*argv):
        subprocess.run(["gcc", "-O1", "-I", src, *argv], check=True)

    gcc("-c", "-fPIC", "-o", out / "plus.o", src / "plus.c")
    gcc("-shared", "-o", out / "libplus.so", out / "plus.o")
    gcc("-o", out / "hello", src / "hello.c", src / "plus.c")
    subprocess.run(["ar", "rcsD", out / "libplus.a", out / "plus.o"], check=True)


def make_model(root):
    for shard in (1, 2):
        name = f"model-{shard:05d}-of-00002.safetensors"
        head, body = model.safetensors_head(shard, 4, 640, 1024)
        model.write_file(root / name, head, name, body)
    model.write_file(root / "gguf" / "model-q8_0.gguf", model.gguf_head(3 * MiB), "gguf", 3 * MiB)
    small = {
        "config.json": {"architectures": ["LlamaForCausalLM"], "hidden_size": 1024, "größe": "模型"},
        "generation_config.json": {"temperature": 0.0},
        "tokenizer.json": {"model": {"type": "BPE", "vocab": {f"tok{i}": i for i in range(20000)}}},
    }
    for name, value in small.items():
        write(root / name, json.dumps(value, indent=1) + "\n")


def settle(root):
    """Modes and times as the mount shows them; a directory's time is now, on both sides."""
    for i, path in enumerate(sorted(p for p in root.rglob("*") if p.is_file())):
        os.chmod(path, 0o444)
        os.utime(path, (FIRST_TIME + 61 * i,) * 2)


def make(root):
    root = pathlib.Path(root)
    root.mkdir(parents=True)
    make_model(root)
    text = texts()
    for name, content in text.items():
        write(root / "text" / name, content)
    for i, name in enumerate(ODD_NAMES):
        write(root / "odd names" / name, f"content {i}\n")
        write(root / "odd names" / "dir \"1'" / name, f"inner {i}\n")
    for name, content in SOURCES.items():
        write(root / "src" / name, content)
    rng = random.Random("blocks")
    for i in range(1, 9):
        write(root / "blocks" / f"b{i}", rng.randbytes(4096 * i * i))
    holes = rng.randbytes(5000) + bytes(300000) + rng.randbytes(5000) + bytes(200000)
    write(root / "sparse" / "zeros", bytes(MiB))
    write(root / "sparse" / "holes", holes)
    write(root / "empty", b"")
    write(root / "deep" / "/".join("123456789") / "leaf.txt", "deep\n")
    for i in range(300):
        write(root / "many" / f"{i % 3}" / f"f{i:03d}", f"{i}\n" * (i % 7))
    for i in range(64):
        write(root / "odd sizes" / f"{4096 * (i // 8) + i % 8 * 511}", rng.randbytes(4096 * (i // 8) + i % 8 * 511))
    make_archives(root / "archives", {"lines.txt": text["lines.txt"].encode(), "sub/blob.bin": rng.randbytes(400000),
                                      "sub/empty": b"", "größe.txt": b"utf-8\n"})
    write(root / "images" / "ramp.png", png(160, 120, lambda x, y: bytes((x, y, x * y % 256))))
    write(root / "images" / "dots.ppm", b"P6\n64 48\n255\n" + rng.randbytes(64 * 48 * 3))
    write(root / "web" / "index.html", "<html><body>served from a bucket</body></html>\n")
    write(root / "web" / "page 2.html", "<p>" + "word " * 5000 + "</p>\n")
    make_database(root / "db" / "data.sqlite")
    make_arrays(root / "arrays")
    make_binaries(root / "src", root / "bin")
    settle(root)
    return root
