"""nginx over the directory, its workers sending in three ways; its listening socket is made here, so no port is guessed."""
import os
import socket
import subprocess
import sys

import fetches

D = sys.argv[1]
WAYS = {"sendfile": "sendfile on;", "threads": "sendfile on; aio threads; directio off;",
        "directio": "sendfile off; aio threads; directio 512; output_buffers 2 128k;",
        "cached": "sendfile on; tcp_nopush on; open_file_cache max=100; sendfile_max_chunk 300k;"}

for name, way in WAYS.items():
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        port = listener.getsockname()[1]
        user = "user root;" if os.geteuid() == 0 else ""
        with open(f"{name}.conf", "w") as f:
            f.write(f"""
                daemon off; master_process on; worker_processes 3; pid {name}.pid; error_log {name}.log warn; {user}
                events {{ worker_connections 64; }}
                http {{
                    access_log off; types {{ }} default_type application/octet-stream; {way}
                    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
                    server {{ listen 127.0.0.1:{port}; root {D}; }}
                }}
                """)
        listener.setblocking(False)
        os.set_inheritable(listener.fileno(), True)
        # What nginx hands to its successor in an upgrade: sockets that are open already.
        server = subprocess.Popen(["nginx", "-p", os.getcwd(), "-e", f"{name}.log", "-c", f"{name}.conf"], pass_fds=[listener.fileno()],
                                  env={**os.environ, "NGINX": f"{listener.fileno()};"}, stderr=subprocess.DEVNULL)
        try:
            print(name)
            fetches.fetch_all(port, D, ranges=True, step=1 if name == "sendfile" else 7)
        finally:
            server.terminate()
            print(server.wait(60))
    log = open(f"{name}.log").read()
    print("".join(line for line in log.splitlines(True) if "[notice]" not in line and "none" not in line and "forbidden" not in line
                  and "using inherited" not in line))
    os.unlink(f"{name}.log")
    os.unlink(f"{name}.conf")
