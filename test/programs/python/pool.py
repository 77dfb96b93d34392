"""multiprocessing: a file opened before, by name in the workers, and a mapping that is inherited."""
import hashlib
import mmap
import multiprocessing
import multiprocessing.reduction
import os
import sys
from concurrent.futures import ProcessPoolExecutor

D = sys.argv[1]
NAME = D + "/model-00001-of-00002.safetensors"


def by_name(i):
    with open(NAME, "rb") as f:
        f.seek(i * 300007)
        return hashlib.md5(f.read(300011)).hexdigest()


def by_descriptor(connection, start):
    with os.fdopen(multiprocessing.reduction.recv_handle(connection), "rb") as f:
        f.seek(start)
        connection.send(hashlib.md5(f.read(100003)).hexdigest())


def inherited(m, f, queue):
    queue.put((hashlib.md5(m).hexdigest(), m[:8], f.read(10)))


def main():
    how = multiprocessing.get_context(sys.argv[2])
    with open(NAME, "rb", buffering=0) as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
        f.seek(50)
        with ProcessPoolExecutor(3, mp_context=how) as pool:
            print(list(pool.map(by_name, range(18))))
        ours, theirs = how.Pipe()
        worker = how.Process(target=by_descriptor, args=(theirs, 70001))
        worker.start()
        theirs.close()
        multiprocessing.reduction.send_handle(ours, f.fileno(), worker.pid)
        print(ours.recv())
        worker.join()
        if sys.argv[2] == "fork":
            f.seek(50)  # what went through the socket may have a position of its own
            queue = how.Queue()
            worker = how.Process(target=inherited, args=(m, f, queue))
            worker.start()
            print(queue.get())
            worker.join()
            print(f.tell(), hashlib.md5(m).hexdigest())


if __name__ == "__main__":
    main()
