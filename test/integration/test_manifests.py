"""The Kubernetes manifests: they are YAML, and the configuration and variables in them are ones that we know."""
import re
import subprocess
import textwrap

import pytest

from daemon import BUILD, TOP

FILES = sorted((TOP / "conf/kubernetes").glob("*.yaml"))
KNOWN = set(re.findall(r"[A-Z][A-Z_]+[A-Z]", (TOP / "libclient/preload/libossc_preload.7").read_text())) | {"LD_PRELOAD"}


def check(tmp_path, text):
    """osscd's own loader reads it: -> (exit status, what it said of it)"""
    path = tmp_path / "config.yaml"
    path.write_text(text)
    out = subprocess.run([BUILD / "osscd", "--check-config", path], capture_output=True, text=True, timeout=20)
    return out.returncode, out.stderr


def documents(path):
    return re.split(r"^---$", path.read_text(), flags=re.MULTILINE)


def configurations(document):
    """What stands below "config.yaml: |" in it."""
    return [textwrap.dedent(block) for block in re.findall(r"^  config\.yaml: \|\n((?:    .*\n|\n)+)", document, re.MULTILINE)]


def test_there_are_manifests():
    assert [f.name for f in FILES] == ["client.yaml", "daemonset.yaml", "in-container.yaml"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_a_manifest_is_yaml_with_kinds_and_names(path, tmp_path):
    for document in documents(path):
        status, said = check(tmp_path, document)
        assert status == 0, said
        assert re.search(r"^apiVersion: ", document, re.MULTILINE) and re.search(r"^kind: [A-Z]", document, re.MULTILINE)
        mounts, volumes = document.count("mountPath: /"), set(re.findall(r"^        - name: ([a-z-]+)\n          \w+:", document, re.MULTILINE))
        named = re.findall(r"\{name: ([a-z-]+), mountPath:", document)
        assert mounts == len(named) and set(named) <= volumes, (named, volumes)


@pytest.mark.parametrize("name,nr", [("client.yaml", 0), ("daemonset.yaml", 1), ("in-container.yaml", 1)])
def test_every_key_of_a_configuration_is_known(name, nr, tmp_path):
    blocks = [block for document in documents(TOP / "conf/kubernetes" / name) for block in configurations(document)]
    assert len(blocks) == nr
    for block in blocks:
        assert check(tmp_path, block) == (0, ""), block


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_variable_is_known(path):
    text = path.read_text()
    assert set(re.findall(r"\{name: ([A-Z_]+), value:", text)) | set(re.findall(r"^  ([A-Z_]+): ", text, re.MULTILINE)) <= KNOWN
