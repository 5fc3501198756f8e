"""A Slack webhook and a mail server on this machine, which remember what they were sent."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TypeVar

Stub = TypeVar("Stub")


@dataclass
class Webhook:
    """What was posted to it; `answer` is the status it gives."""

    url: str = ""
    answer: int = 200
    posts: list[str] = field(default_factory=list)


@contextmanager
def webhook(answer: int = 200) -> Iterator[Webhook]:
    stub = Webhook(answer=answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if stub.answer == 200:
                stub.posts.append(json.loads(body)["text"])
            self.send_response(stub.answer)
            self.end_headers()
            self.wfile.write(b"ok" if stub.answer == 200 else b"no_service")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        stub.url = f"http://127.0.0.1:{server.server_port}/services/T0/B0/s3cr3t-part"
        yield from _served(server, stub)


@dataclass
class MailServer:
    """What was mailed through it; addresses in `refused` are not taken."""

    url: str = ""
    refused: set[str] = field(default_factory=set)
    mails: list[Message] = field(default_factory=list)

    @property
    def recipients(self) -> list[str]:
        return [str(mail["To"]) for mail in self.mails]


@contextmanager
def mail_server(*refused: str) -> Iterator[MailServer]:
    stub = MailServer(refused=set(refused))

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 stub")
            for line in self.rfile:
                word = line[:4].upper().strip()
                if word == b"RCPT" and any(a.encode() in line for a in stub.refused):
                    self.say("550 no such person")
                elif word == b"DATA":
                    self.say("354 go on")
                    stub.mails.append(message_from_bytes(self.text()))
                    self.say("250 taken")
                elif word == b"QUIT":
                    return self.say("221 bye")
                else:
                    self.say("250 fine")
            return None

        def say(self, words: str) -> None:
            self.wfile.write(f"{words}\r\n".encode())

        def text(self) -> bytes:
            lines = []
            for line in self.rfile:
                if line == b".\r\n":
                    break
                lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            return b"".join(lines)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        stub.url = f"smtp://127.0.0.1:{server.server_address[1]}"
        yield from _served(server, stub)


def _served(server: socketserver.BaseServer, stub: Stub) -> Iterator[Stub]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        thread.join()
