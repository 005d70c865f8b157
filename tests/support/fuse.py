"""A filesystem that does as it is told, over /dev/fuse itself (include/uapi/linux/fuse.h). For root.

Arguments: DIR. Mounts itself there and prints `mounted`; then takes orders, a line each, and answers each with `done`:
`free N` (of 1000 blocks), `stop` (it takes no request any more, as if its program were stopped), `swallow` (it takes requests
and answers none), `go on` (it answers all of them). At the end of its input it unmounts itself, whatever it was told.
"""

import ctypes
import mmap
import os
import signal
import struct
import sys
import time

LOOKUP, GETATTR, STATFS, INIT, FORGET, BATCH_FORGET, INTERRUPT = 1, 3, 17, 26, 2, 42, 36
ENOENT, ENOSYS = 2, 38
MNT_DETACH = 2
libc = ctypes.CDLL(None, use_errno=True)
# Shared by the one that takes orders and the one that answers requests: free blocks, whether it swallows.
orders = mmap.mmap(-1, 16)


def set_orders(free, swallows):
    orders[:16] = struct.pack("QQ", free, swallows)


def get_orders():
    return struct.unpack("QQ", orders[:16])


def answer(opcode):
    """What comes after the head of an answer, or an error."""
    if opcode == INIT:
        return struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 16, 12, 65536, 1, 16, 0, 0)
    if opcode == STATFS:
        free = get_orders()[0]
        return struct.pack("<QQQQQIIII24x", 1000, free, free, 100, 40, 4096, 255, 4096, 0)
    if opcode == GETATTR:
        attributes = struct.pack("<QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
        return struct.pack("<QII", 0, 0, 0) + attributes
    return -ENOENT if opcode == LOOKUP else -ENOSYS


def serve(fd):
    while True:
        try:
            request = os.read(fd, 1 << 17)
        except OSError:  # unmounted
            os._exit(0)
        _, opcode, unique = struct.unpack_from("<IIQ", request)
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            continue
        # A child keeps the request until it may be answered: this one goes on reading.
        if get_orders()[1] and opcode != INIT:
            if os.fork() == 0:
                while get_orders()[1] and os.getppid() != 1:
                    time.sleep(0.01)
                reply(fd, opcode, unique)
                os._exit(0)
            continue
        reply(fd, opcode, unique)


def reply(fd, opcode, unique):
    body = answer(opcode)
    error, body = (body, b"") if isinstance(body, int) else (0, body)
    try:
        os.write(fd, struct.pack("<IiQ", 16 + len(body), error, unique) + body)
    except OSError:
        pass  # whoever asked has gone


point = os.path.realpath(sys.argv[1])
set_orders(500, 0)
fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other"
if libc.mount(b"minder-test", point.encode(), b"fuse.test", 0, options.encode()) != 0:
    sys.exit(f"cannot be mounted: {os.strerror(ctypes.get_errno())}")
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
server = os.fork()
if server == 0:
    os.close(0)
    serve(fd)
os.close(fd)
print("mounted", flush=True)
for line in sys.stdin:
    order, *rest = line.split()
    if order == "free":
        set_orders(int(rest[0]), get_orders()[1])
    elif order == "stop":
        os.kill(server, signal.SIGSTOP)
        while b"\nState:\tT" not in open(f"/proc/{server}/status", "rb").read():
            pass
    elif order == "swallow":
        set_orders(get_orders()[0], 1)
    elif order == "go":
        set_orders(get_orders()[0], 0)
        os.kill(server, signal.SIGCONT)
    print("done", flush=True)
# The forked ones end by themselves once nothing is swallowed; the end of the connection answers whoever still waits.
set_orders(get_orders()[0], 0)
while libc.umount2(point.encode(), MNT_DETACH) == 0:
    pass  # a test may have mounted something over it
os.kill(server, signal.SIGKILL)
