"""A store that nobody here wrote: SeaweedFS's S3 gateway, with keys."""
import hashlib
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import boto3
import pytest

import model
from daemon import Daemon

KEY = ("AKseaweed", "secret-of-seaweed")


def free_ports(n):
    """Ports whose number plus 10000 (the gRPC twin) is free as well."""
    found = []
    while len(found) < n:
        with socket.socket() as a, socket.socket() as b:
            a.bind(("127.0.0.1", 0))
            port = a.getsockname()[1]
            try:
                b.bind(("127.0.0.1", (port + 10000)))
            except (OSError, OverflowError):
                continue
            found.append(port)
    return found


class Seaweed:
    region = "us-east-1"

    def __init__(self, tmp_path):
        self.log = tmp_path / "weed.log"
        conf = tmp_path / "s3.json"
        conf.write_text(json.dumps({"identities": [{
            "name": "t", "credentials": [{"accessKey": KEY[0], "secretKey": KEY[1]}],
            "actions": ["Admin", "Read", "Write", "List"]}]}))
        data = tmp_path / "data"
        data.mkdir()
        master, volume, filer, s3, webdav = free_ports(5)
        weed = pathlib.Path(sys.executable).parent / "weed"
        self.endpoint = f"http://127.0.0.1:{s3}"
        self.process = subprocess.Popen(
            [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}", f"-master.port={master}",
             f"-volume.port={volume}", "-filer", f"-filer.port={filer}", "-s3", f"-s3.port={s3}",
             "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={conf}", "-volume.max=20",
             "-master.volumeSizeLimitMB=64"],
            stdout=open(self.log, "wb"), stderr=subprocess.STDOUT, cwd=tmp_path)

    def wait(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(self.endpoint, timeout=2)
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(f"SeaweedFS did not answer: {self.log.read_text()[-2000:]}")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def weed(tmp_path):
    w = Seaweed(tmp_path)
    try:
        w.wait()
        yield w
    finally:
        w.close()


def test_list_and_load_with_right_sums_and_a_wrong_secret_is_refused(weed, tmp_path):
    s3 = boto3.client("s3", endpoint_url=weed.endpoint, aws_access_key_id=KEY[0], aws_secret_access_key=KEY[1],
                      region_name=weed.region)
    s3.create_bucket(Bucket="models")
    files = {f"llama/shard-{i}.bin": random.Random(i).randbytes(9_000_000 + i) for i in range(3)}
    files["llama/config.json"] = b"{}\n"
    files["llama/sub dir/größe.txt"] = b"text\n"
    for name, data in files.items():
        s3.put_object(Bucket="models", Key=name, Body=data)
    for i in range(1100):
        s3.put_object(Bucket="models", Key=f"llama/many/f{i:04d}", Body=b"%d" % i)

    with Daemon(weed, {"cache": {"size": "256MiB"}}, bucket="models", prefix="llama/", key=KEY, scheme="s3") as d:
        out = d.run("cp", "-r", d.path(), tmp_path / "copy")
        assert out.returncode == 0, out.stderr
        found = model.sums(tmp_path / "copy")
        assert len(found) == len(files) + 1100
        for name, data in files.items():
            assert found[name[len("llama/"):]] == hashlib.sha256(data).hexdigest()

        out = d.run("cat", d.path("config.json"), env={"OSS_ACCESS_KEY_SECRET": "wrong"})
        assert out.returncode != 0 and b"SignatureDoesNotMatch" in out.stderr
        program = "import errno, os, sys\ntry: os.stat(sys.argv[1])\nexcept OSError as e: print(errno.errorcode[e.errno])"
        out = d.run(sys.executable, "-c", program, d.path("config.json"), env={"OSS_ACCESS_KEY_SECRET": "wrong"})
        assert out.stdout.strip() == b"EACCES"
