"""A DataLoader whose workers read shards, started by fork or spawn.  DIR fork|spawn

Every worker opens files of its own; what the parent has open and mapped is read by its children too.
"""
import pathlib
import sys

import torch
from safetensors import safe_open
from torch.utils.data import DataLoader, Dataset

from digests import of_bytes


class Tensors(Dataset):
    def __init__(self, at):
        self.at = pathlib.Path(at)
        self.names = []
        for shard in sorted(self.at.glob("*.safetensors")):
            with safe_open(shard, framework="pt") as f:
                self.names += [(shard, name) for name in f.keys()]
        self.inherited = None

    def open_in_parent(self):
        self.inherited = {shard: safe_open(shard, framework="pt") for shard, _ in self.names}
        self.stream = open(self.names[0][0], "rb")

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        shard, name = self.names[i]
        if self.inherited is not None:
            tensor = self.inherited[shard].get_tensor(name)
        else:
            with safe_open(shard, framework="pt") as f:
                tensor = f.get_tensor(name)
        data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return f"{shard.name} {name} {of_bytes(data)}"


def main():
    at, method = sys.argv[1:3]
    tensors = Tensors(at)
    for inherit in [False, True] if method == "fork" else [False]:
        if inherit:
            tensors.open_in_parent()
        loader = DataLoader(tensors, batch_size=8, num_workers=2, multiprocessing_context=method)
        for batch in loader:
            print("\n".join(batch))


if __name__ == "__main__":
    main()
