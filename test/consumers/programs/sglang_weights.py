"""Weights in the ways of SGLang's loader.  DIR mmap|read|threads

The package itself does not import without a GPU's packages, so these are its ways in our words:
  mmap      shard after shard, mapped, tensor after tensor as the header has them
  read      --weight-loader-disable-mmap: each shard read whole into one buffer, then taken apart
  threads   several shards at once, while one thread more reads them all ahead
"""
import collections
import concurrent.futures
import pathlib
import sys
import threading

from safetensors import safe_open
from safetensors.torch import load

from digests import show

WORKERS = 2
BLOCK = 4 << 20


def mapped(shard):
    with safe_open(shard, framework="pt", device="cpu") as f:
        for name in f.keys():
            yield name, f.get_tensor(name)


def read(shard):
    with open(shard, "rb") as f:
        yield from sorted(load(f.read()).items())


def warm(shards):
    """What the reader of the page cache does: everything once, into nothing."""
    for shard in shards:
        with open(shard, "rb", buffering=0) as f:
            while f.read(BLOCK):
                pass


def in_threads(shards):
    ahead = threading.Thread(target=warm, args=(shards,))
    ahead.start()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        left = iter(shards)
        window = collections.deque()
        for shard in shards[:WORKERS + 1]:
            window.append(pool.submit(lambda at: dict(mapped(at)), next(left)))
        while window:
            tensors = window.popleft().result()
            following = next(left, None)
            if following is not None:
                window.append(pool.submit(lambda at: dict(mapped(at)), following))
            yield from sorted(tensors.items())
    ahead.join()


shards = sorted(pathlib.Path(sys.argv[1]).glob("*.safetensors"))
how = sys.argv[2]
if how == "threads":
    weights = in_threads(shards)
else:
    weights = (pair for shard in shards for pair in (mapped if how == "mmap" else read)(shard))
for name, tensor in weights:
    show(name, tensor)
