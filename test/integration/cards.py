"""A node with several network cards, on one machine: two network namespaces, joined by one pair of
virtual cards for each address, each limited by a token bucket where the store sends.

    with Cards(2, 30e6) as cards:
        with cards.at("store"): store = Store(...)     # threads and children begun here are there
        with cards.at("node"): daemon.start()
        ... cards.source_ip, cards.stop_hearing(0), cards.hear_again(0) ...

A namespace lives as long as the process that holds it, and that one ends when its standard input
does: nothing stays behind, whatever becomes of us.  Needs root, `ip`, `tc` and `unshare`.
"""
import contextlib
import ctypes
import os
import shutil
import subprocess
import time

CLONE_NEWNET = 0x40000000
STORE = "10.78.0.1"
MTU = 9000


def why_not():
    """A sentence when this machine or user cannot do it; None when it can."""
    if os.geteuid() != 0:
        return "network namespaces with cards of their own need root"
    for program in "ip", "tc", "unshare":
        if shutil.which(program) is None:
            return f"there is no `{program}` here"
    try:
        with Cards(1, 1e6):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no namespaces, virtual cards or token buckets here: {error}"


def _run(*argv):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Cards:
    """`count` cards that each receive `rate` bytes a second (of whole packets; 0: no limit)."""

    def __init__(self, count, rate, routed=True):
        self.count, self.rate, self.routed = count, rate, routed
        self._holders = {}

    @property
    def addresses(self):
        return [f"10.77.{i}.1" for i in range(self.count)]

    @property
    def source_ip(self):
        return ",".join(self.addresses)

    def __enter__(self):
        try:
            for name in "node", "store":
                self._hold(name)
            for i in range(self.count):
                self._add(i)
            with self.at("store"):
                _run("ip", "addr", "add", f"{STORE}/32", "dev", "lo")
            with self.at("node"):
                # What names no card goes by the first, as on a node with a default route.
                _run("ip", "route", "add", STORE, "via", "10.77.0.2")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for holder in self._holders.values():
            holder.stdin.close()
            holder.wait()

    def _hold(self, name):
        holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE)
        self._holders[name] = holder
        ours, deadline = os.stat("/proc/self/ns/net").st_ino, time.monotonic() + 20
        while os.stat(f"/proc/{holder.pid}/ns/net").st_ino == ours:
            if holder.poll() is not None:
                raise OSError(holder.stderr.read().decode().strip())
            if time.monotonic() > deadline:
                raise OSError("unshare did not make a namespace within 20 s")
            time.sleep(0.002)
        with self.at(name):
            _run("ip", "link", "set", "lo", "up")

    def _add(self, i):
        with self.at("node"):
            _run("ip", "link", "add", f"card{i}", "mtu", str(MTU), "type", "veth", "peer", "name", f"far{i}",
                 "mtu", str(MTU), "netns", str(self._holders["store"].pid))
            _run("ip", "addr", "add", f"10.77.{i}.1/24", "dev", f"card{i}")
            _run("ip", "link", "set", f"card{i}", "up")
        with self.at("store"):
            _run("ip", "addr", "add", f"10.77.{i}.2/24", "dev", f"far{i}")
            _run("ip", "link", "set", f"far{i}", "up")
            if self.rate:
                _run("tc", "qdisc", "add", "dev", f"far{i}", "root", "tbf", "rate", f"{int(self.rate * 8)}bit",
                     "burst", "256k", "limit", "1m")
        if self.routed:
            with self.at("node"):
                self._route(i)

    def _route(self, i):
        _run("ip", "rule", "add", "from", f"10.77.{i}.1", "table", str(100 + i))
        self._route_table(i)

    def _route_table(self, i):
        _run("ip", "route", "replace", "default", "via", f"10.77.{i}.2", "dev", f"card{i}", "table", str(100 + i))

    @contextlib.contextmanager
    def at(self, name):
        """This thread, and what it starts, is in that namespace ("node", "store")."""
        back = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/proc/{self._holders[name].pid}/ns/net", os.O_RDONLY)
        try:
            _setns(there)
            yield
        finally:
            os.close(there)
            _setns(back)
            os.close(back)

    # ---- what can happen to a card ----

    def stop_hearing(self, i):
        """Nothing that is sent to the card arrives any more, and nobody is told."""
        with self.at("store"):
            _run("ip", "route", "add", "blackhole", f"10.77.{i}.1/32")

    def hear_again(self, i):
        with self.at("store"):
            _run("ip", "route", "del", "blackhole", f"10.77.{i}.1/32")

    def set_down(self, i):
        """The card is switched off on the node: the kernel takes its routes away."""
        with self.at("node"):
            _run("ip", "link", "set", f"card{i}", "down")

    def set_up(self, i):
        with self.at("node"):
            _run("ip", "link", "set", f"card{i}", "up")
            if self.routed:
                self._route_table(i)


def _setns(fd):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns: " + os.strerror(ctypes.get_errno()))
