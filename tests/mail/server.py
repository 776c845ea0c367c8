"""A mail server on a free port of 127.0.0.1, for the tests of the mail channel.

Its first line of output is the port; each further line is a mail that it took, as JSON. It ends with
its standard input. What it does with a mail follows from the recipient:

later@    451 at RCPT            busy@     452 after the mail
never@    550 at RCPT            refused@  554 after the mail
silent@   takes the mail and never answers
gone@     takes the mail and ends the connection

With $MAIL_FILE each mail is a line of that file instead, with its subject and parts decoded, before its
sender is told that it was taken.

With --login it wants the user "rapport" and the password in $MAIL_PASSWORD, and takes them without
TLS; with --tls it offers STARTTLS with a certificate that nobody trusts.
"""

import asyncio
import email
import email.policy
import json
import os
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


def say(value):
    print(value, flush=True)


def keep(envelope):
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
    parts = {part.get_content_type(): part for part in mail.walk()}
    kept = {"to": envelope.rcpt_tos, "subject": mail["subject"], "message_id": mail["message-id"]}
    for name in ["plain", "html"]:
        if f"text/{name}" in parts:
            kept[name] = parts[f"text/{name}"].get_content()
    kept["pictures"] = [
        [part["content-id"].strip("<>"), len(part.get_content())]
        for part in mail.walk()
        if part.get_content_type() == "image/png"
    ]
    with open(os.environ["MAIL_FILE"], "a") as file:
        file.write(json.dumps(kept) + "\n")


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        who = address.split("@")[0]
        if who == "later":
            return "451 try again later"
        if who == "never":
            return "550 no such user; you sent " + os.environ.get("MAIL_PASSWORD", "")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        who = envelope.rcpt_tos[0].split("@")[0]
        if who == "busy":
            return "452 too little room"
        if who == "refused":
            return "554 looks like spam"
        if "MAIL_FILE" in os.environ:
            keep(envelope)
        else:
            text = envelope.content.decode()
            say(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "text": text}))
        if who == "silent":
            await asyncio.sleep(60)
        if who == "gone":
            server.transport.abort()
            await asyncio.sleep(60)
        return "250 taken as 42"


def authenticate(server, session, envelope, mechanism, login):
    expected = (b"rapport", os.environ["MAIL_PASSWORD"].encode())
    is_right = (login.login, login.password) == expected
    return AuthResult(success=is_right, handled=False)


def protocol():
    options = {"hostname": "mail.example"}
    if "--login" in sys.argv:
        options |= {
            "authenticator": authenticate,
            "auth_required": True,
            "auth_require_tls": False,
        }
    if "--tls" in sys.argv:
        here = pathlib.Path(sys.prefix)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(here / "cert.pem", here / "key.pem")
        options["tls_context"] = context
    return SMTP(Handler(), **options)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0)
    say(server.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


asyncio.run(main())
