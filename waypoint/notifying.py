"""Telling people: a Slack webhook and e-mail, as the environment configures them.

| variable | says |
|---|---|
| WAYPOINT_SLACK_WEBHOOK | the URL of an incoming webhook; it is a secret |
| WAYPOINT_SLACK_CHANNEL | the name of its channel, for the record |
| WAYPOINT_SMTP_URL | smtp://user:password@host:587, or smtps://host:465 |
| WAYPOINT_MAIL_FROM | the sender's address |
| WAYPOINT_MAIL_TO | where mail goes for those whose own address is not known |
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import SplitResult, unquote, urlsplit

from waypoint.errors import Unavailable, UnusableInput

SLACK_WEBHOOK = "WAYPOINT_SLACK_WEBHOOK"
SLACK_CHANNEL = "WAYPOINT_SLACK_CHANNEL"
SMTP_URL = "WAYPOINT_SMTP_URL"
MAIL_FROM = "WAYPOINT_MAIL_FROM"
MAIL_TO = "WAYPOINT_MAIL_TO"

_TIMEOUT = 15.0  # seconds
_LOCAL = ("localhost", "127.0.0.1", "::1")


class NotSent(Unavailable):
    """A message did not go out; nobody was told by it."""


@dataclass(frozen=True)
class Message:
    """What is said: a subject of one line, and plain text."""

    subject: str
    text: str


@dataclass(frozen=True)
class Slack:
    """An incoming webhook. `channel` is for the record; the webhook itself is bound to one."""

    webhook: str
    channel: str = ""

    def send(self, message: Message) -> None:
        """Post a message.

        Raises:
            NotSent: Slack could not be reached, or did not take it.
        """
        import httpx

        body = {"text": f"*{_slack(message.subject)}*\n{_slack(message.text)}"}
        try:
            response = httpx.post(self.webhook, json=body, timeout=_TIMEOUT)
        except httpx.HTTPError as error:  # its text may hold the URL, which is a secret
            raise NotSent(
                f"Slack could not be reached ({type(error).__name__})",
                hint=f"look at {SLACK_WEBHOOK} and the network, and run it again",
            ) from None
        if response.status_code != httpx.codes.OK:
            raise NotSent(
                f"Slack did not take the message: {response.status_code} {response.text[:100]}",
                hint=f"is the webhook in {SLACK_WEBHOOK} still valid?",
            )


@dataclass(frozen=True)
class Mail:
    """A mail server and the sender's address."""

    server: SplitResult
    sender: str

    def send(self, message: Message, to: Sequence[str]) -> None:
        """Send one mail to some addresses.

        Raises:
            NotSent: the server could not be reached, or refused the mail or an address.
        """
        mail = EmailMessage()
        mail["Subject"] = " ".join(message.subject.split())
        mail["From"] = self.sender
        mail["To"] = ", ".join(to)
        mail.set_content(message.text)
        host = self.server.hostname or ""
        try:
            with self._connected(host) as server:
                refused = server.send_message(mail)
        except (OSError, smtplib.SMTPException) as error:
            raise NotSent(
                f"the mail server {host} did not take the mail: {_reason(error)}",
                hint=f"look at {SMTP_URL} and {MAIL_FROM}, and run it again",
            ) from None
        if refused:
            raise NotSent(f"the mail server {host} refused {', '.join(refused)}")

    def _connected(self, host: str) -> smtplib.SMTP:
        encrypted = self.server.scheme == "smtps"
        kind = smtplib.SMTP_SSL if encrypted else smtplib.SMTP
        server = kind(host, self.server.port or 0, timeout=_TIMEOUT)
        server.ehlo()
        if not encrypted and server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
            encrypted = True
        if self.server.username:
            if not encrypted and host not in _LOCAL:
                server.close()
                raise smtplib.SMTPException("no encryption, so no password was sent")
            server.login(unquote(self.server.username), unquote(self.server.password or ""))
        return server


@dataclass(frozen=True)
class Channels:
    """The ways to tell people that the environment configures."""

    slack: Slack | None = None
    mail: Mail | None = None
    default_address: str = ""

    @property
    def any(self) -> bool:
        return self.slack is not None or self.mail is not None


def channels(environment: Mapping[str, str]) -> Channels:
    """The channels that the environment configures; none where it says nothing.

    Raises:
        UnusableInput: a variable is set, and wrong or alone.
    """
    webhook, url = environment.get(SLACK_WEBHOOK, ""), environment.get(SMTP_URL, "")
    slack = mail = None
    if webhook:
        if urlsplit(webhook).scheme not in ("http", "https"):
            raise UnusableInput(
                f"{SLACK_WEBHOOK} is no URL", hint="e.g. https://hooks.slack.com/.."
            )
        slack = Slack(webhook, environment.get(SLACK_CHANNEL, ""))
    if url:
        server, sender = urlsplit(url), environment.get(MAIL_FROM, "")
        if server.scheme not in ("smtp", "smtps") or not server.hostname:
            raise UnusableInput(
                f"{SMTP_URL} is no mail server", hint="e.g. smtp://mail.company:587"
            )
        if "@" not in sender:
            raise UnusableInput(f"{MAIL_FROM} is not set", hint="the address that mail comes from")
        mail = Mail(server, sender)
    return Channels(slack, mail, environment.get(MAIL_TO, ""))


def _slack(text: str) -> str:
    """Text as Slack wants it: three characters have a meaning of their own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"it refused {', '.join(error.recipients)}"
    return str(error) or type(error).__name__
