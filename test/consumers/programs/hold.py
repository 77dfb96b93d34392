"""Loads all shards, reads every byte, and says what memory that takes when it is told to.  DIR

Writes "loaded"; after a line on standard input, the kibibytes of the mappings that hold the tensors: resident,
its share of them, and what is its own.  The store's bytes have no other page than the cache's: own is 0.
"""
import pathlib
import re
import sys

import torch
from safetensors.torch import load_file


def areas():
    """(first, end, {field: KiB}) of each mapping."""
    for text in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", pathlib.Path("/proc/self/smaps").read_text())[1:]:
        first, end = (int(x, 16) for x in text.split()[0].split("-"))
        yield first, end, {name: int(kib) for name, kib in re.findall(r"(?m)^(\w+): +(\d+) kB", text)}


def read_all(tensors):
    for tensor in tensors:
        tensor.view(torch.uint8).sum()


tensors = [tensor for shard in sorted(pathlib.Path(sys.argv[1]).glob("*.safetensors"))
           for tensor in load_file(shard).values()]
read_all(tensors)
print("loaded", flush=True)
sys.stdin.readline()
read_all(tensors)  # what the kernel took away meanwhile
at = [tensor.data_ptr() for tensor in tensors]
held = [fields for first, end, fields in areas() if any(first <= a < end for a in at)]
print(*(sum(fields[name] for fields in held) for name in ("Rss", "Pss")),
      sum(fields["Private_Dirty"] + fields["Anonymous"] for fields in held))
