"""Makes a realistic model directory with reproducible bytes, and checks trees against sums.

As a program:  model.py make DIR [BYTES]   or   model.py sums DIR
"""
import hashlib
import json
import os
import pathlib
import random
import struct
import sys

MiB = 1 << 20


def noise(seed, size):
    """Yield `size` reproducible bytes in pieces of at most 4 MiB, every page unlike the others."""
    rng = random.Random(seed)
    while size > 0:
        n = min(size, 4 * MiB)
        yield rng.randbytes(n)
        size -= n


def write_file(path, head, seed, body_bytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as f:
        f.write(head)
        for piece in noise(seed, body_bytes):
            f.write(piece)


def safetensors_head(shard, tensors, rows, columns):
    """A valid safetensors header: 8 bytes of length, JSON, then F16 tensors back to back."""
    entries, at = {"__metadata__": {"format": "pt"}}, 0
    for i in range(tensors):
        size = rows * columns * 2
        entries[f"model.layers.{shard}.{i}.weight"] = {
            "dtype": "F16", "shape": [rows, columns], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, at


def gguf_head(size):
    """A valid GGUF v3 header with one metadata string and one F32 tensor of `size` bytes."""
    def string(s):
        return struct.pack("<Q", len(s)) + s.encode()
    kv = string("general.architecture") + struct.pack("<I", 8) + string("llama")
    tensor = string("token_embd.weight") + struct.pack("<IQIQ", 1, size // 4, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + kv + tensor
    return head + b"\0" * (-len(head) % 32)


def make(root, total=2200 * MiB, shards=6):
    root = pathlib.Path(root)
    gguf = total // 8 // 4 * 4
    columns = 1024
    per_shard = (total - gguf) // shards
    rows = max(1, per_shard // (8 * columns * 2))
    weights, names = {}, []
    for s in range(1, shards + 1):
        name = f"model-{s:05d}-of-{shards:05d}.safetensors"
        head, body = safetensors_head(s, 8, rows, columns)
        write_file(root / name, head, f"{name}", body)
        weights.update({f"model.layers.{s}.{i}.weight": name for i in range(8)})
        names.append(name)
    write_file(root / "gguf" / "model-q8_0.gguf", gguf_head(gguf), "gguf", gguf)
    small = {
        "config.json": {"architectures": ["LlamaForCausalLM"], "hidden_size": columns},
        "generation_config.json": {"temperature": 0.0},
        "model.safetensors.index.json": {"metadata": {"total_size": total}, "weight_map": weights},
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"},
        "tokenizer.json": {"model": {"type": "BPE", "vocab": {f"tok{i}": i for i in range(50000)}}},
    }
    for name, value in small.items():
        (root / name).write_text(json.dumps(value, indent=1) + "\n")
    for i in range(40):
        write_file(root / "assets" / f"group{i % 4}" / f"part {i:03d}.bin", b"", f"part{i}", 137 * i * i)
    (root / "assets" / "empty").write_bytes(b"")
    (root / "assets" / "größe-模型.txt").write_text("names are UTF-8\n")
    return root


def sum_file(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while piece := f.read(4 * MiB):
            h.update(piece)
    return h.hexdigest()


def sums(root):
    """{relative path: sha256} of every file below root."""
    root = str(root)
    found = {}
    for here, _, files in os.walk(root):
        for name in files:
            path = os.path.join(here, name)
            found[os.path.relpath(path, root)] = sum_file(path)
    return found


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "make":
        make(sys.argv[2], *(int(a) for a in sys.argv[3:4]))
    elif len(sys.argv) == 3 and sys.argv[1] == "sums":
        json.dump(sums(sys.argv[2]), sys.stdout, indent=1, sort_keys=True)
    else:
        sys.exit(__doc__)
