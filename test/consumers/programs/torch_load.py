"""torch.load() of the files that torch.save() writes, mapped or read.  DIR mmap|read"""
import pathlib
import sys

import torch

from digests import show_all

at = pathlib.Path(sys.argv[1])
mapped = sys.argv[2] == "mmap"
show_all(torch.load(at / "model.pt", mmap=mapped, weights_only=True))
if not mapped:
    show_all(torch.load(at / "legacy.pt", weights_only=True))
with open(at / "shard-1.pt", "rb") as f:
    show_all(torch.load(f, weights_only=True))
