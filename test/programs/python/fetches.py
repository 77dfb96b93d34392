"""Fetches a directory's files from a server on the loopback and prints what came; serves.py and nginx.py use it."""
import hashlib
import http.client
import os
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

RANGES = ["0-99", "100-4195", "1048570-1048580", "-77", "3000000-", "99999999-"]


def fetch(port, name, headers=None, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, "/" + urllib.parse.quote(name), headers=headers or {})
        answer = connection.getresponse()
        body = answer.read()
        length = answer.headers["Content-Length"]
        return answer.status, length, answer.headers["Last-Modified"], hashlib.md5(body).hexdigest()
    finally:
        connection.close()


def fetch_all(port, root, ranges, step=1):
    """Every step-th file, and what is asked of a server beside whole files."""
    names = sorted(os.path.relpath(os.path.join(here, name), root) for here, _, files in os.walk(root) for name in files)[::step]
    with ThreadPoolExecutor(6) as pool:
        for name, got in zip(names, pool.map(lambda name: fetch(port, name), names)):
            print(name, got)
        if ranges:
            asked = [{"Range": f"bytes={r}"} for r in RANGES]
            for r, got in zip(RANGES, pool.map(lambda h: fetch(port, "gguf/model-q8_0.gguf", h), asked)):
                print(r, got[0], got[1], got[3] if got[0] == 206 else "")
    print(fetch(port, "tokenizer.json", method="HEAD"))
    print(fetch(port, "none")[0], fetch(port, "web/")[0])
    later = {"If-Modified-Since": fetch(port, "config.json", method="HEAD")[2]}
    print(fetch(port, "config.json", later)[0])
