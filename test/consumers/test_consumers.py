"""Unmodified loaders find on a mount what they find in a plain directory, in every state of the cache."""
import difflib

import pytest

from conftest import MiB

PROGRAMS = {
    "safetensors-numpy": ("safetensors_numpy", "llama"),
    "safetensors-torch": ("safetensors_torch", "llama"),
    "torch-load-mmap": ("torch_load", "torch", "mmap"),
    "torch-load-read": ("torch_load", "torch", "read"),
    "dataloader-fork": ("torch_loader", "llama", "fork"),
    "dataloader-spawn": ("torch_loader", "llama", "spawn"),
    "transformers": ("transformers_llama", "llama"),
    "minilm": ("minilm", "minilm"),
    "llama.cpp-none": ("llama_cpp", "gguf", "whole.gguf", "none"),
    "llama.cpp-mmap": ("llama_cpp", "gguf", "whole.gguf", "mmap"),
    "llama.cpp-dio": ("llama_cpp", "gguf", "whole.gguf", "dio"),
    "llama.cpp-split-none": ("llama_cpp", "gguf", "split-00001-of-00003.gguf", "none"),
    "llama.cpp-split-mmap": ("llama_cpp", "gguf", "split-00001-of-00003.gguf", "mmap"),
    "llama.cpp-split-dio": ("llama_cpp", "gguf", "split-00001-of-00003.gguf", "dio"),
    "sglang-mmap": ("sglang_weights", "llama", "mmap"),
    "sglang-read": ("sglang_weights", "llama", "read"),
    "sglang-threads": ("sglang_weights", "llama", "threads"),
}


@pytest.mark.parametrize("mode", ["resident", "lazy"])
@pytest.mark.parametrize("state", ["cold", "warm", "small"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_same(name, state, mode, stage):
    program, model, *args = PROGRAMS[name]
    want = stage.on_plain_directory(program, model, *args)
    daemon = stage.in_state(model, state, mode)
    try:
        stage.store.reset()
        code, out, err = stage.run(program, daemon.model_dir, *args, env=daemon.preload())
        retries = daemon.status()["fetch"]["retries"]
    finally:
        stage.leave(daemon)
    if (code, out) != (0, want):
        found = "\n".join(difflib.unified_diff(want.splitlines(), out.splitlines(), "plain directory", "mount", "", "", 0, ""))
        pytest.fail(f"exit code {code}\n{found[:4000]}\n{err[-4000:]}", pytrace=False)
    sizes, sent = stage.sizes(model), stage.sent(model)
    if state == "warm":
        assert sent == {}
    else:
        assert sent != {}
    if state == "cold" and retries == 0:
        assert {key: n for key, n in sent.items() if n > sizes[key]} == {}, "a byte was downloaded twice"


def test_the_small_cache_is_smaller(stage):
    daemon = stage.in_state("llama", "small", "resident")
    try:
        assert daemon.ossc("prefetch", "--wait").returncode in (0, 1)
        assert 0 < daemon.status()["cache"]["used"] <= sum(stage.sizes("llama").values()) // 4 + MiB
    finally:
        stage.leave(daemon)


@pytest.mark.parametrize("mode", ["resident", "lazy"])
@pytest.mark.parametrize("program, args", [("safetensors_torch", ()), ("sglang_weights", ("read",))])
def test_four_ranks_that_read_all_cost_the_store_one(program, args, mode, stage):
    want = stage.on_plain_directory(program, "llama", *args)
    stage.store.reset()
    daemon = stage.daemon("llama", mode)
    ranks = []
    try:
        ranks = [stage.start(program, daemon.model_dir, *args, env=daemon.preload(1 if i == 0 else 2)) for i in range(4)]
        for rank in ranks:
            out, err = rank.communicate(timeout=300)
            assert (rank.returncode, out == want) == (0, True), err
        # What nobody has read yet comes as well: each file then was sent whole, and once.
        daemon.ossc("prefetch", "--wait").check_returncode()
        if daemon.status()["fetch"]["retries"] == 0:
            assert stage.sent("llama") == stage.sizes("llama")
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
        stage.leave(daemon)


@pytest.mark.parametrize("mode", ["resident", "lazy"])
def test_a_second_process_shares_the_pages_of_the_first(mode, stage):
    weights = sum(size for key, size in stage.sizes("llama").items() if key.endswith(".safetensors"))
    daemon = stage.daemon("llama", mode)
    holders = []
    try:
        for role in 1, 2:
            holders.append(stage.start("hold", daemon.model_dir, env=daemon.preload(role)))
            assert holders[-1].stdout.readline() == "loaded\n", holders[-1].stderr.read()
        used = daemon.status()["cache"]["used"]
        assert weights <= used < weights + 2 * MiB, "the cache holds the model once"
        for holder in holders:
            holder.stdin.write("\n")
            holder.stdin.flush()
            resident, share, own = (int(n) for n in holder.stdout.readline().split())
            assert own == 0
            assert resident >= weights // 1024, "all of the model is mapped"
            assert share <= resident // 2 + 64, "and half of each page is the other's"
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()
        stage.leave(daemon)
