"""safetensors for numpy: whole files, then tensors and slices of one without the rest.  DIR"""
import pathlib
import sys

from safetensors import safe_open
from safetensors.numpy import load_file

from digests import show, show_all

for shard in sorted(pathlib.Path(sys.argv[1]).glob("*.safetensors")):
    show_all(load_file(shard))
    with safe_open(shard, framework="numpy") as f:
        print(f.metadata())
        for name in list(f.keys())[::-1]:
            part = f.get_slice(name)
            rows = part.get_shape()[0]
            show(f"{name} tail", part[rows - rows // 5 - 1:])
            if len(part.get_shape()) == 2:
                show(f"{name} columns", part[:, 3:7])
