"""One vLLM: its API server on a port of its own, asked as its users do, ended with all its processes."""
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

START_SEC = 900
PROMPTS = ("The quick brown fox", "0123456789", "to be, or not to be")


def take_port():
    """A bound socket: as long as it is open, no other program gets its port, and vLLM, which says SO_REUSEADDR too, can."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    return s


class Vllm:
    """with Vllm(stage, directory, env, ranks=1) as v: v.wait(); v.tokens()"""

    def __init__(self, stage, model, env=None, ranks=1):
        self.taken = take_port()
        self.port = self.taken.getsockname()[1]
        self.log_path = stage.base / f"vllm-{self.port}.log"
        argv = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model),
                "--served-model-name", "m", "--host", "127.0.0.1", "--port", str(self.port), "--dtype", "bfloat16",
                "--max-model-len", "256", "--enforce-eager", "--tensor-parallel-size", str(ranks)]
        env = stage.environment(env) | {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(argv, env=env, cwd=stage.base, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def ask(self, path, document=None):
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as answer:
            return answer.read()

    def wait(self):
        deadline = time.monotonic() + START_SEC
        while True:
            try:
                self.ask("health")
                return self
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert self.process.poll() is None, f"vLLM ended with {self.process.returncode}:\n{self.log()[-8000:]}"
                assert time.monotonic() < deadline, f"vLLM does not answer:\n{self.log()[-8000:]}"
                time.sleep(0.2)

    def tokens(self):
        """What it goes on with after each prompt, at temperature 0."""
        answers = []
        for prompt in PROMPTS:
            answer = json.loads(self.ask("v1/completions", {"model": "m", "prompt": prompt, "max_tokens": 24,
                                                            "temperature": 0, "ignore_eos": True, "return_token_ids": True}))
            answers.append(answer["choices"][0]["token_ids"])
        return answers

    def said(self):
        """Lines of the library, of all its processes."""
        return [line for line in self.log().splitlines() if "oss-connector:" in line]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        """SIGTERM, as a user does; then whatever is left of its session."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.taken.close()
