"""What load.py runs: makes a model, or loads one as a server would; prints when that was done and a digest of all weights.

    load_program.py make DIR BYTES            a Llama of about so many bytes, in eight shards
    load_program.py load_file DIR             every shard by safetensors
    load_program.py from_pretrained DIR       the model by transformers
    load_program.py rank DIR RANK NR          reads all shards, or the RANKth of NR slices of each
"""
import os
import pathlib
import sys
import time

HIDDEN, INNER, VOCABULARY, SHARDS = 2048, 5504, 32000, 8


def make(directory, size):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.set_default_dtype(torch.bfloat16)
    layer = 2 * (4 * HIDDEN * HIDDEN + 3 * HIDDEN * INNER)
    layers = max((int(size) - 4 * VOCABULARY * HIDDEN) // layer, 1)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=layers,
        num_attention_heads=16, num_key_value_heads=16, tie_word_embeddings=False))
    model.save_pretrained(directory, max_shard_size=sum(p.nbytes for p in model.parameters()) // SHARDS)


def digest(weights):
    """Every byte is looked at; sums of integers come out the same in every order."""
    import torch
    return [(name, int(t.detach().reshape(-1).view(torch.int16).sum(dtype=torch.int64))) for name, t in sorted(weights)]


def touch(weights):
    """As a copy to a device would: mapped memory is there when it has been looked at."""
    import torch
    for t in weights:
        t.detach().reshape(-1).view(torch.uint8)[::4096].sum()


def report(weights):
    print(time.monotonic())
    print(digest(weights))


def load_file(directory):
    from safetensors.torch import load_file as load
    weights = {}
    for shard in sorted(pathlib.Path(directory).glob("*.safetensors")):
        part = load(shard)
        touch(part.values())
        weights.update(part)
    report(weights.items())


def from_pretrained(directory):
    import torch
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16)
    touch(model.parameters())
    report(model.named_parameters())


def rank(directory, mine, nr):
    mine, nr, buffer = int(mine), int(nr), bytearray(1 << 20)
    for shard in sorted(pathlib.Path(directory).glob("*.safetensors")):
        with open(shard, "rb", buffering=0) as f:
            size = os.fstat(f.fileno()).st_size
            at, end = (mine * size // nr, (mine + 1) * size // nr) if nr > 1 else (0, size)
            f.seek(at)
            while at < end:
                at += f.readinto(memoryview(buffer)[:min(len(buffer), end - at)])


if __name__ == "__main__":
    {f.__name__: f for f in (make, load_file, from_pretrained, rank)}[sys.argv[1]](*sys.argv[2:])
