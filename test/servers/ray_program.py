"""Loads a model with Ray's workers and prints one line of JSON: ray_program.py DIRECTORY [VARIABLES]

VARIABLES, a JSON object, is what the workers find in their environment.  An actor with ENABLE_CONNECTOR=1 loads the
weights and keeps them; then three tasks digest every file, and another actor loads the weights, with ENABLE_CONNECTOR=2.
"""
import hashlib
import json
import pathlib
import sys

import ray


@ray.remote
class Loader:
    def __init__(self, directory):
        from safetensors.torch import load_file
        self.weights = {}
        for shard in sorted(pathlib.Path(directory).glob("*.safetensors")):
            self.weights.update(load_file(shard))

    def digest(self):
        import torch
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(self.weights[name].contiguous().view(torch.uint8).numpy())
        return digest.hexdigest()


@ray.remote
def digest_files(directory):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(pathlib.Path(directory).iterdir())}


def main():
    directory, variables = sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}

    def role(number):
        return {"env_vars": {**variables, "ENABLE_CONNECTOR": number} if variables else {}}

    ray.init(num_cpus=5, include_dashboard=False, object_store_memory=100 << 20)
    primary = Loader.options(runtime_env=role("1")).remote(directory)
    weights = [ray.get(primary.digest.remote())]
    tasks = [digest_files.options(runtime_env=role("2")).remote(directory) for _ in range(3)]
    secondary = Loader.options(runtime_env=role("2")).remote(directory)
    weights.append(ray.get(secondary.digest.remote()))
    print(json.dumps({"weights": weights, "files": ray.get(tasks)}))
    ray.shutdown()


main()
