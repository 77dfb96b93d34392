"""vLLM answers from a model in the store what it answers from a local directory."""
import pytest

from vllm_server import Vllm

MiB = 1 << 20


@pytest.fixture(scope="session")
def expected(stage):
    """The tokens of a vLLM that reads the plain directory and knows nothing of us."""
    with Vllm(stage, stage.plain) as vllm:
        tokens = vllm.wait().tokens()
    assert all(len(t) == 24 for t in tokens) and len({str(t) for t in tokens}) == len(tokens)
    return tokens


def each_once(stage, daemon):
    """Every byte of every file came once, whoever read it and however often."""
    if daemon.was_smooth():
        assert stage.sent() == stage.sizes()


def serve(stage, daemon, expected):
    with Vllm(stage, daemon.model_dir, daemon.preload()) as vllm:
        assert vllm.wait().tokens() == expected, vllm.said()
        return vllm.said()


@pytest.mark.parametrize("mmap", ["resident", "lazy"])
def test_vllm_cold_and_then_warm(mmap, stage, expected, start_daemon):
    daemon = start_daemon(mmap)
    serve(stage, daemon, expected)
    each_once(stage, daemon)
    stage.store.reset()
    serve(stage, daemon, expected)
    assert set(stage.sent().values()) == {0}


@pytest.mark.parametrize("mmap", ["resident", "lazy"])
def test_vllm_with_a_cache_smaller_than_the_model(mmap, stage, expected, start_daemon):
    daemon = start_daemon(mmap, 24 * MiB)
    assert sum(stage.sizes().values()) > 2 * 24 * MiB
    serve(stage, daemon, expected)
    assert all(sent >= stage.sizes()[name] for name, sent in stage.sent().items() if name in stage.shards())
    assert daemon.status()["cache"]["evictions"] > 0


def test_two_engines_in_roles_1_and_2_share_one_download(stage, expected, start_daemon):
    """Both at once and cold; the second may come before the first has made the mount."""
    daemon = start_daemon()
    with Vllm(stage, daemon.model_dir, daemon.preload(2, OSSC_WAIT_SEC="300")) as second:
        with Vllm(stage, daemon.model_dir, daemon.preload(1)) as first:
            assert first.wait().tokens() == expected, first.said()
            assert second.wait().tokens() == expected, second.said()
            each_once(stage, daemon)
        # The primary has gone; what is loaded goes on.
        assert second.tokens() == expected


def test_tensor_parallel_ranks_share_one_download(stage, start_daemon):
    """Two processes that each read all shards; their sums are rounded otherwise than those of one."""
    with Vllm(stage, stage.plain, ranks=2) as plain:
        tokens = plain.wait().tokens()
    daemon = start_daemon()
    with Vllm(stage, daemon.model_dir, daemon.preload(), ranks=2) as vllm:
        assert vllm.wait().tokens() == tokens, vllm.said()
    each_once(stage, daemon)
