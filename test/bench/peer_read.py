#!/usr/bin/env python3
"""Reads objects of an S3 or OSS store from their first byte to their last with a package of another project.

    peer_read.py runai|s3torch|osstorch ENDPOINT REGION BUCKET SIZE [--digest] KEY...

Every object has SIZE bytes.  Prints one line of JSON: bytes, seconds and CPU seconds from the making of the
client to the last byte, imports left out; with --digest also the SHA-256 of all bytes in order.
Runs in the environment of test/bench/requirements.txt.  Keys come from the AWS_ variables, for osstorch
from the file $OSS_CREDENTIALS; its configuration is $OSS_CONFIG.

These packages hand out torch tensors, but move and convert bytes with code of their own: torch, 4.7 GB of it
where it comes from PyPI, is not needed to measure them, and stood_in() spares it.
"""
import hashlib
import importlib.util
import json
import os
import pathlib
import resource
import sys
import time
import types
from unittest import mock

BLOCK = 1 << 20


def stood_in():
    """For runai, which asks torch for the dtypes' names and for views of its own numpy buffers."""
    class Tensor:
        def __init__(self, array):
            self.array = array

        def view(self, *shape):
            return Tensor(self.array.reshape(shape))

        def numpy(self):
            return self.array

    torch = mock.MagicMock()
    torch.from_numpy = Tensor
    torch.device = lambda name: types.SimpleNamespace(type=str(name))
    sys.modules.update({"torch": torch, "torch.distributed": torch.distributed})


def runai(endpoint, region, bucket, size, keys, digest):
    """All objects at once into its ring of buffers, as its loader of sharded models does."""
    with runai_model_streamer.FileStreamer() as streamer:
        starts = range(0, size, 64 * BLOCK)
        files = [runai_model_streamer.FileChunks(i, f"s3://{bucket}/{key}", list(starts),
                                                 [min(64 * BLOCK, size - at) for at in starts])
                 for i, key in enumerate(keys)]
        streamer.stream_files(files)
        kept, got = {}, 0
        for file, index, tensor in streamer.get_chunks():
            got += tensor.numpy().size
            if digest is not None:
                kept[file, index] = tensor.numpy().tobytes()
    for place in sorted(kept):
        digest.update(kept[place])
    return got


def s3torch(endpoint, region, bucket, size, keys, digest):
    """The client below s3torchconnector (whose readers only join what this yields)."""
    client = s3torchconnectorclient.MountpointS3Client(region, endpoint=endpoint, force_path_style=True)
    got = 0
    for key in keys:
        for piece in client.get_object(bucket, key):
            got += len(piece)
            if digest is not None:
                digest.update(piece)
    return got


def osstorch(endpoint, region, bucket, size, keys, digest):
    """As OssCheckpoint.reader() opens an object."""
    client = oss_client.OssClient(endpoint, cred_path=os.environ["OSS_CREDENTIALS"],
                                  config_path=os.environ["OSS_CONFIG"], region=region)
    buf, got = bytearray(64 * BLOCK), 0
    for key in keys:
        reader = client.get_object(bucket, key, type=1)
        while (n := reader.readinto(buf)) > 0:
            got += n
            if digest is not None:
                digest.update(memoryview(buf)[:n])
        reader.close()
    return got


def main():
    name, endpoint, region, bucket, size, *keys = sys.argv[1:]
    digest = hashlib.sha256() if keys[0] == "--digest" else None
    if digest is not None:
        keys = keys[1:]
    # What is imported is not measured.
    global runai_model_streamer, s3torchconnectorclient, oss_client
    if name == "runai":
        stood_in()
        import runai_model_streamer
    elif name == "s3torch":
        from s3torchconnectorclient import _mountpoint_s3_client as s3torchconnectorclient
    else:
        # Without the package's own __init__, which imports its datasets for torch.
        here = pathlib.Path(importlib.util.find_spec("osstorchconnector").submodule_search_locations[0])
        package = types.ModuleType("osstorchconnector")
        package.__path__ = [str(here)]
        sys.modules["osstorchconnector"] = package
        from osstorchconnector import _oss_client as oss_client
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.monotonic()
    got = {"runai": runai, "s3torch": s3torch, "osstorch": osstorch}[name](
        endpoint, region, bucket, int(size), keys, digest)
    seconds = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    answer = {"bytes": got, "seconds": seconds,
              "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}
    if digest is not None:
        answer["sha256"] = digest.hexdigest()
    print(json.dumps(answer))


main()
