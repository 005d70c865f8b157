"""A daemon that falls ill on demand: it serves HTTP, and beats as systemd's watchdog wants it if its environment says where.

Arguments: DIR PORT. A file DIR/sick makes it answer 500, DIR/silent keeps it from beating, at DIR/ends it exits with code 7.
"""

import http.server
import os
import socket
import sys
import threading
import time

directory, port = sys.argv[1], int(sys.argv[2])


def is_told(what):
    return os.path.exists(os.path.join(directory, what))


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if is_told("sick") else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()
notify = os.environ.get("NOTIFY_SOCKET")
while not is_told("ends"):
    if notify and not is_told("silent"):
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as beats:
                beats.sendto(b"WATCHDOG=1", notify)
        except OSError:
            # minder does not run yet.
            pass
    time.sleep(0.1)
os._exit(7)
