"""An SMTP server that keeps each mail as a file in DIR/new and prints the port that it listens on.

Arguments: DIR PORT (0: any) [USER:PASSWORD [login-only | CERTIFICATE KEY]]. With a log-in, mail is taken only after it; with
a certificate, only after STARTTLS. Addresses that begin with "nobody" are refused for good, those that begin with "later" for
now, and those that begin with "once" for now, the first time. Of letters, those to "busy" are refused for now, those to
"spam" for good; the connection is cut in the middle of those to "cut", and after those to "mute" nothing is said.
"""

import asyncio
import ssl
import sys

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult


class Handler(Mailbox):
    known = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 no such user"
        if address.startswith("later"):
            return "451 4.3.0 not now"
        if address.startswith("once") and address not in self.known:
            self.known.add(address)
            return "450 4.2.0 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        first = envelope.rcpt_tos[0]
        if first.startswith("busy"):
            return "452 4.3.1 no room"
        if first.startswith("spam"):
            return "554 5.7.1 not wanted"
        answer = await super().handle_DATA(server, session, envelope)
        if first.startswith("mute"):
            server.transport.abort()
        return answer


class Cutting(SMTP):
    async def smtp_DATA(self, arg):
        if not self.envelope.rcpt_tos or not self.envelope.rcpt_tos[0].startswith("cut"):
            return await super().smtp_DATA(arg)
        await self.push("354 go on")
        await self._reader.readline()
        self.transport.abort()


def authenticator(expected):
    def check(server, session, envelope, mechanism, data):
        given = f"{data.login.decode()}:{data.password.decode()}"
        # Not handled: the server is to say itself what came of it.
        return AuthResult(success=given == expected, handled=False)

    return check


async def main():
    handler = Handler(sys.argv[1])
    options = {"hostname": "localhost", "enable_SMTPUTF8": True}
    if len(sys.argv) > 3:
        options |= {
            "authenticator": authenticator(sys.argv[3]),
            "auth_required": True,
            "auth_require_tls": False,
        }
    if sys.argv[4:] == ["login-only"]:
        options["auth_exclude_mechanism"] = ["PLAIN"]
    if len(sys.argv) > 5:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[4], sys.argv[5])
        options |= {"tls_context": context, "require_starttls": True, "auth_require_tls": True}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Cutting(handler, loop=loop, **options), "127.0.0.1", int(sys.argv[2]))
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
