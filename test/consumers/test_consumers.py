"""Unmodified loaders find on a mount what they find in a plain directory, in every state of the cache."""
import difflib

import pytest

from conftest import MODES, MiB

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


class Run:
    """One program on a mount in one state."""

    def __init__(self, stage, state, mode, program, model, *args):
        self.stage, self.state, self.mode, self.model = stage, state, mode, model
        self.daemon = stage.in_state(model, state, mode)
        stage.stores[mode].reset()
        self.process = stage.start(program, self.daemon.model_dir, *args, env=self.daemon.preload())

    def judge(self, want):
        """What is wrong with it, in words; nothing when nothing is."""
        code, out, err = self.stage.end(self.process)
        if (code, out) != (0, want):
            found = difflib.unified_diff(want.splitlines(), out.splitlines(), "plain directory", "mount", lineterm="", n=0)
            return f"mmap {self.mode}: exit code {code}\n" + "\n".join(found)[:4000] + f"\n{err[-4000:]}"
        sizes, sent = self.stage.sizes(self.model), self.stage.sent(self.model, self.mode)
        if (sent == {}) != (self.state == "warm"):
            return f"mmap {self.mode}: the store sent {sent}"
        twice = {key: n for key, n in sent.items() if n > sizes[key]}
        if self.state == "cold" and twice and self.daemon.was_smooth():
            return f"mmap {self.mode}: bytes were downloaded twice: {twice}"
        return ""

    def close(self):
        self.process.kill()
        self.process.communicate()
        self.stage.leave(self.daemon)


@pytest.mark.parametrize("state", ["cold", "warm", "small"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_same(name, state, stage):
    """Mapped resident and lazily, side by side: a loader keeps one processor busy with its imports."""
    want = stage.on_plain_directory(*PROGRAMS[name])
    runs = []
    try:
        for mode in MODES:
            runs.append(Run(stage, state, mode, *PROGRAMS[name]))
        wrong = "\n".join(filter(None, [run.judge(want) for run in runs]))
    finally:
        for run in runs:
            run.close()
    if wrong:
        pytest.fail(wrong, pytrace=False)


def test_the_small_cache_is_smaller(stage):
    daemon = stage.in_state("llama", "small", "resident")
    try:
        assert daemon.ossc("prefetch", "--wait").returncode in (0, 1)
        assert 0 < daemon.status()["cache"]["used"] <= sum(stage.sizes("llama").values()) // 4 + MiB
    finally:
        stage.leave(daemon)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("program, args", [("safetensors_torch", ()), ("sglang_weights", ("read",))])
def test_four_ranks_that_read_all_cost_the_store_one(program, args, mode, stage):
    want = stage.on_plain_directory(program, "llama", *args)
    stage.stores[mode].reset()
    daemon = stage.daemon("llama", mode)
    ranks = []
    try:
        ranks = [stage.start(program, daemon.model_dir, *args, env=daemon.preload(role, OSSC_WAIT_SEC="300"))
                 for role in (1, 2, 2, 2)]
        for rank in ranks:
            code, out, err = stage.end(rank)
            assert (code, out == want) == (0, True), err
        # What nobody has read yet comes as well: each file then was sent whole, and once.
        daemon.ossc("prefetch", "--wait").check_returncode()
        if daemon.was_smooth():
            assert stage.sent("llama", mode) == stage.sizes("llama")
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()
        stage.leave(daemon)


@pytest.mark.parametrize("mode", MODES)
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
