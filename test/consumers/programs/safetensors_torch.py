"""safetensors for torch: whole files, then tensors and slices, the last file first.  DIR"""
import pathlib
import sys

from safetensors import safe_open
from safetensors.torch import load_file

from digests import show, show_all

shards = sorted(pathlib.Path(sys.argv[1]).glob("*.safetensors"))
for shard in shards:
    tensors = load_file(shard)
    show_all(tensors)
    # What was loaded belongs to the program: it may write there.
    for tensor in tensors.values():
        tensor.zero_()
for shard in reversed(shards):
    with safe_open(shard, framework="pt", device="cpu") as f:
        for name in f.keys():
            part = f.get_slice(name)
            show(f"{name} half", part[part.get_shape()[0] // 2:])
            show(name, f.get_tensor(name))
