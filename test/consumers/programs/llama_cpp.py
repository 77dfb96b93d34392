"""llama.cpp's server on a file of DIR: a completion over loopback, with the odds of each token.  DIR NAME none|mmap|dio"""
import json
import sys
import urllib.request

import xllamacpp

at, name, mode = sys.argv[1:4]
params = xllamacpp.CommonParams()
params.model.path = f"{at}/{name}"
params.load_mode = {"none": xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE,
                    "mmap": xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_MMAP,
                    "dio": xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_DIRECT_IO}[mode]
params.check_tensors = True
params.warmup = False
params.n_ctx = 256
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)

question = {"prompt": "A reader that hits makes no system call", "n_predict": 12, "temperature": 0, "n_probs": 3}
request = urllib.request.Request(f"{server.listening_address}/completion", json.dumps(question).encode(),
                                 {"Content-Type": "application/json"})
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(request, timeout=100) as response:
    answer = json.load(response)
print(repr(answer["content"]))
for token in answer["completion_probabilities"]:
    print(token["id"], [(other["id"], other["logprob"]) for other in token["top_logprobs"]])
