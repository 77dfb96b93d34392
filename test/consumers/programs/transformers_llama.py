"""A tokenizer and a sharded Llama with transformers, and what the model says.  DIR

Then once more as people load large models: accelerate puts the weights where a device map says.
"""
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from digests import show_all

at = sys.argv[1]
torch.set_num_threads(1)
tokenizer = AutoTokenizer.from_pretrained(at)
question = tokenizer("A reader that hits makes no system call", return_tensors="pt")
print(question["input_ids"].tolist())
for how in {}, {"device_map": {"": "cpu"}, "dtype": torch.bfloat16}:
    model = AutoModelForCausalLM.from_pretrained(at, **how)
    show_all(model.state_dict())
    answer = model.generate(**question, max_new_tokens=12, do_sample=False, pad_token_id=2)
    print(answer.tolist(), repr(tokenizer.decode(answer[0])))
