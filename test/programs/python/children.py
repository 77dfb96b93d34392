"""Descriptors of the directory's files in processes that Python starts."""
import array
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

D = sys.argv[1]
LINES = D + "/text/lines.txt"


def run(*argv, **kw):
    out = subprocess.run(argv, capture_output=True, **kw)
    print(argv[0], out.returncode, out.stdout[-60:], out.stderr)


f = open(LINES, "rb", buffering=0)
run("head", "-n", "3", stdin=f)
print(f.tell(), f.readline())
run("sh", "-c", "read a; echo $a", stdin=f)
print(f.readline())
f.seek(100000)
run("wc", "-c", stdin=f)
run("md5sum", stdin=open(D + "/gguf/model-q8_0.gguf", "rb"))
keep = os.open(D + "/text/left.txt", os.O_RDONLY)
run("sh", "-c", f"head -n 2 <&{keep}; cat <&{keep} | wc -l", pass_fds=[keep])
run("cat", f"/dev/fd/{keep}", pass_fds=[keep])
run("cat", "deep.h", cwd=D + "/src/sub")
run("sh", "-c", "cat <&3", close_fds=False)
run(sys.executable, "-c", "import sys; print(len(sys.stdin.read()))", stdin=open(LINES))
run(sys.executable, "-c", f"import os; print(os.pread({keep}, 20, 10), os.fstat({keep}).st_size)", pass_fds=[keep])
print(subprocess.check_output(f"sort -u '{D}/text/words.txt' | head -n 3", shell=True))
with subprocess.Popen(["cat"], stdin=open(D + "/src/plus.h"), stdout=subprocess.PIPE) as p:
    print(p.stdout.read())
pid = os.posix_spawn("/bin/cat", ["cat"], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 0, D + "/src/plus.h", os.O_RDONLY, 0),
                                                                   (os.POSIX_SPAWN_OPEN, 1, "spawned", os.O_WRONLY | os.O_CREAT, 0o644)])
print(os.waitpid(pid, 0)[1], open("spawned").read())
pid = os.fork()
if pid == 0:
    os.dup2(keep, 0)
    os.lseek(0, 0, os.SEEK_SET)
    os.execvp("wc", ["wc", "-l"])
print(os.waitpid(pid, 0)[1], os.lseek(keep, 0, os.SEEK_CUR))

# A descriptor through a socket, to a child that did not inherit it.
here, there = socket.socketpair()
pid = os.fork()
if pid == 0:
    here.close()
    fds = array.array("i")
    _, parts, _, _ = there.recvmsg(1, socket.CMSG_SPACE(4))
    fds.frombytes(parts[0][2])
    os.write(1, os.pread(fds[0], 30, 60))
    os._exit(0)
os.lseek(keep, 0, os.SEEK_SET)
sys.stdout.flush()
socket.send_fds(here, [b"x"], [os.open(D + "/tokenizer.json", os.O_RDONLY)])
print(os.waitpid(pid, 0)[1])

with tempfile.TemporaryDirectory() as folder:
    link = pathlib.Path(folder, "link")
    link.symlink_to(D + "/text")
    print(link.joinpath("left.txt").read_text()[:9], sorted(os.listdir(link))[:2], os.path.realpath(link / "left.txt") == D + "/text/left.txt")
