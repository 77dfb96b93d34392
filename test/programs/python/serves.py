"""http.server over the directory, in threads."""
import functools
import http.server
import sys
import threading

import fetches

D = sys.argv[1]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=D))
threading.Thread(target=server.serve_forever, daemon=True).start()
fetches.fetch_all(server.server_port, D, ranges=False)
server.shutdown()
