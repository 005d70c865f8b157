"""Starts programs, and takes note of the end of every orphan at once.

A machine's pid 1 does that; that of a container may be slow to, or never do it, and how a daemon died is known only then.
Reads lines of JSON, {"argv": [...], "env": {...}, "log": path}, and answers each with a pid. Ends with its input.
"""

import ctypes
import json
import os
import signal
import sys

PR_SET_CHILD_SUBREAPER = 36


def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        pass


if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
    sys.exit("cannot become the reaper of orphans")
signal.signal(signal.SIGCHLD, reap)
for line in sys.stdin:
    order = json.loads(line)
    pid = os.posix_spawnp(
        order["argv"][0],
        order["argv"],
        order["env"],
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )
    print(pid, flush=True)
