"""asyncio: threads, a child that reads a store file, and sendfile through a loop's transport."""
import asyncio
import hashlib
import sys

D = sys.argv[1]
NAME = D + "/gguf/model-q8_0.gguf"


def digest(path):
    with open(path, "rb") as f:
        return hashlib.md5(f.read()).hexdigest()


async def served(reader, writer):
    await reader.readline()
    with open(NAME, "rb") as f:
        sent = await asyncio.get_running_loop().sendfile(writer.transport, f, 1000, 2000000)
        print("sent", sent, f.tell())
        sent = await asyncio.get_running_loop().sendfile(writer.transport, f, f.tell())
        print("sent", sent, f.tell())
    writer.close()


async def main():
    loop = asyncio.get_running_loop()
    print(await asyncio.gather(*(loop.run_in_executor(None, digest, path) for path in (NAME, D + "/tokenizer.json") * 4)))
    print(await asyncio.to_thread(digest, D + "/arrays/square.npy"))
    child = await asyncio.create_subprocess_exec("md5sum", stdin=open(NAME, "rb"), stdout=asyncio.subprocess.PIPE)
    print((await child.communicate())[0])
    child = await asyncio.create_subprocess_shell(f"head -n 2 '{D}/text/lines.txt'", stdout=asyncio.subprocess.PIPE)
    print((await child.communicate())[0])
    server = await asyncio.start_server(served, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"go\n")
        print(hashlib.md5(await reader.read(-1)).hexdigest())
        writer.close()
    try:
        await loop.connect_read_pipe(asyncio.Protocol, open(NAME, "rb"))
    except ValueError as e:
        print(e)


asyncio.run(main())
