"""As much of a MongoDB server as the check talks to: the messages are taken apart and put together by MongoDB's own library, so
that our BSON is held against theirs. The first connection is answered well, the second with an error."""

import socket
import struct
import sys

import bson

ANSWERS = {
    "ping": {"ok": 1.0},
    "buildInfo": {
        "gitVersion": "x",
        "versionArray": [7, 0, 14, 0],
        "openssl": {"running": "OpenSSL 3.0"},
        "bits": 64,
        "debug": False,
        "at": bson.Timestamp(1, 2),
        "id": bson.ObjectId(),
        "size": bson.Int64(16777216),
        "none": None,
        "raw": b"abc",
        "version": "7.0.14",
        "ok": 1.0,
    },
}
RECOVERING = {"ok": 0.0, "errmsg": "node is recovering", "code": 11600}


def read(stream, count):
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


def serve(stream, answer):
    while True:
        length, number, to, kind = struct.unpack("<iiii", read(stream, 16))
        body = read(stream, length - 16)
        flags, section = struct.unpack("<IB", body[:5])
        assert (to, kind, flags, section) == (0, 2013, 0, 0)
        command = bson.decode(body[5:])
        name = next(iter(command))
        assert command == {name: 1, "$db": "admin"}, command
        document = bson.encode(answer or ANSWERS[name])
        body = struct.pack("<IB", 0, 0) + document
        stream.write(struct.pack("<iiii", len(body) + 16, 99, number, 2013) + body)
        stream.flush()


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
answers = [None, RECOVERING]
while True:
    connection, _ = listener.accept()
    with connection, connection.makefile("rwb") as stream:
        # Whoever says nothing only looks whether we are there.
        if connection.recv(1, socket.MSG_PEEK):
            try:
                serve(stream, answers.pop(0))
            except EOFError:
                pass
