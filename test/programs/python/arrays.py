"""numpy: loads, maps and reads in place."""
import sys
import zlib

import numpy

D = sys.argv[1] + "/arrays/"


def show(name, a):
    print(name, type(a).__name__, a.shape, a.dtype, a.flags.c_contiguous, f"{zlib.crc32(numpy.ascontiguousarray(a)):08x}")


for name in "square.npy", "fortran.npy":
    show(name, numpy.load(D + name))
    for mode in "r", "c":
        mapped = numpy.load(D + name, mmap_mode=mode)
        show(mode, mapped)
        show("part", mapped[3:200:7, 5:90])
        if mode == "c":
            mapped[0, 0] = 77
            print(mapped[0, :2], mapped.sum())
try:
    numpy.load(D + "square.npy", mmap_mode="r")[0, 0] = 1
except ValueError as e:
    print(e)
show("fromfile", numpy.fromfile(D + "raw.f32", dtype="<f4"))
show("fromfile", numpy.fromfile(D + "raw.f32", dtype="<f4", count=500, offset=4004))
with open(D + "raw.f32", "rb") as f:
    f.seek(400)
    show("fromfile", numpy.fromfile(f, dtype="<f4", count=1000))
    print(f.tell())
    show("memmap", numpy.memmap(f, dtype="<f4", mode="r", offset=40000, shape=(30, 50)))
show("memmap", numpy.memmap(D + "raw.f32", dtype="<u2", mode="c"))
with numpy.load(D + "several.npz") as several:
    for name in several.files:
        show(name, several[name])
show("text", numpy.loadtxt(sys.argv[1] + "/text/numbers.txt", dtype=int))
show("csv", numpy.genfromtxt(sys.argv[1] + "/text/numbers.txt", max_rows=100))
numpy.save("made.npy", numpy.load(D + "square.npy", mmap_mode="r")[::2])
