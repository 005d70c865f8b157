"""A daemon that is ill in its first life and well in every later one. Stays in the foreground.

Arguments: DIR HOW. It counts its lives in DIR/lives and writes DIR/pid when it is ready, and DIR/port where it answers HTTP.
HOW is `well`, `hungry` (holds 200 MB in its first life) or `sick` (answers 500 in its first life).
"""

import http.server
import os
import sys

directory, how = sys.argv[1:]


def path(name):
    return os.path.join(directory, name)


def write(name, value):
    with open(path(name + ".new"), "w") as file:
        file.write(f"{value}\n")
    os.rename(path(name + ".new"), path(name))


lives = 1 + (int(open(path("lives")).read()) if os.path.exists(path("lives")) else 0)
write("lives", lives)
first = lives == 1
ballast = bytearray(os.urandom(1 << 20) * 200) if how == "hungry" and first else None


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if how == "sick" and first else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


# The same port in every life, chosen in the first.
port = int(open(path("port")).read()) if os.path.exists(path("port")) else 0
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
write("port", server.server_address[1])
write("pid", os.getpid())
server.serve_forever()
