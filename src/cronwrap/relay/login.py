"""Logging in: the mechanisms, each by what the server asks for, and the next one where a mechanism fails.

A mechanism that breaks down before the secret was judged (unknown to the server after all, a challenge that
cannot be read) says nothing about the secret, so the next one is tried. A secret that was refused is never
offered again: that would double the failed logins, and providers lock accounts for them.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING

from cronwrap.relay.dial import RelayFault
from cronwrap.relay.replies import Reply, login_advice, readable
from cronwrap.relay.wording import LoginRefused
from cronwrap.settings.relays import MECHANISMS, TOKEN_MECHANISMS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cronwrap.settings.relays import Endpoint

MOST_PROMPTS = 4
"""Of AUTH LOGIN: user and password, each asked for twice at most."""
CANCEL = b"*"
"""Ends an exchange (RFC 4954, 4)."""
NOT_UNDERSTOOD = frozenset({500, 501, 502, 504, 538})
"""Replies about the mechanism or the syntax, not the secret, even after it was sent (RFC 4954, 4 and 6)."""
FOR_GOOD = frozenset({503, 530, 535})
"""Refusals that another mechanism does not change, even before the secret was sent."""
PASSWORD_PROMPTS = ("pass", "kennwort", "pwd", "secret")
USER_PROMPTS = ("user", "name", "login", "mail", "account", "benutzer")
"""Parts of the prompts of AUTH LOGIN, in small letters; the password's are looked for first ("passname")."""


class Login:
    """One login on one connection.

    ``say`` sends a line and gives the reply to it as it came; ``harmless`` takes out of a relay's words what
    it was told in confidence: some repeat a line that they refuse.
    """

    def __init__(
        self,
        relay: Endpoint,
        secret: bytes,
        offered: Sequence[str],
        say: Callable[[bytes], Awaitable[Reply]],
        harmless: Callable[[str], str],
    ) -> None:
        self.relay, self.secret, self.offered = relay, secret, offered
        self._say, self._harmless = say, harmless
        self._user = relay.user.encode()
        self._sent = False
        """Whether the secret, or what was computed from it, was sent by the present mechanism."""

    async def run(self) -> str:
        """Log in and give the mechanism that did it; RelayFault when none does."""
        tried: list[tuple[str, Reply]] = []
        for name in usable(self.relay, self.offered, self._harmless):
            self._sent = False
            try:
                reply = await self._by(name)
            except RelayFault:
                if tried:
                    break  # it hung up after the last refusal, which says more
                raise
            if reply.code == 235:
                return name
            tried.append((name, reply))
            if not self._next_may_do(reply):
                break
        raise self._refused(tried)

    def _next_may_do(self, reply: Reply) -> bool:
        if reply.code in NOT_UNDERSTOOD:
            return True
        return reply.code >= 500 and not self._sent and reply.code not in FOR_GOOD

    def _refused(self, tried: list[tuple[str, Reply]]) -> RelayFault:
        user = self.relay.user
        said = [f"by {name.upper()}: {self._harmless(str(reply))}" for name, reply in tried]
        name, reply = tried[-1]
        kind = LoginRefused if reply.code >= 500 else RelayFault
        return kind(
            "login",
            f"{self.relay.display} refused the login of {user} {', and '.join(said)}",
            login_advice(reply, name, self.offered),
        )

    # Mechanisms

    async def _by(self, name: str) -> Reply:
        if name == "oauthbearer":
            return await self._token(name, self._bearer(), b"AQ==")
        if name == "xoauth2":
            return await self._token(
                name, b"user=" + self._user + b"\x01auth=Bearer " + self.secret + b"\x01\x01", b""
            )
        if name == "cram-md5":
            return await self._cram_md5()
        if name == "plain":
            return await self._plain()
        return await self._login()

    def _bearer(self) -> bytes:
        """RFC 7628, 3.1; the name is written as RFC 5801, 4 says."""
        name = self._user.replace(b"=", b"=3D").replace(b",", b"=2C")
        place = f"host={self.relay.host}\x01port={self.relay.port}".encode()
        return b"n,a=" + name + b",\x01" + place + b"\x01auth=Bearer " + self.secret + b"\x01\x01"

    async def _token(self, name: str, message: bytes, answer: bytes) -> Reply:
        """Log in with a token; the reason of a refusal comes as a challenge that wants an answer.

        RFC 7628, 3.2.3; Google's "XOAUTH2 Mechanism", "Error response".
        """
        reply = await self._with_first(name, message)
        if reply.code != 334:
            return reply
        final = await self._say(answer)
        reason = _decoded(reply.text) or b""
        return Reply(code=final.code, text=f"{final.text} {reason.decode('utf-8', 'replace')}")

    async def _plain(self) -> Reply:
        """RFC 4616."""
        message = b"\0" + self._user + b"\0" + self.secret
        reply = await self._with_first("plain", message, prompted=True)
        return reply if reply.code != 334 else await self._cancelled("it asked for more than RFC 4616 has")

    async def _with_first(self, name: str, message: bytes, *, prompted: bool = False) -> Reply:
        """Send a mechanism's only message in the line of AUTH or, to servers that want it so, after it.

        ``prompted``: what they ask with need not be empty, as it should.
        """
        blob = base64.b64encode(message)
        self._sent = True
        reply = await self._say(b"AUTH " + name.upper().encode() + b" " + blob)
        if reply.code == 501:
            reply = await self._say(b"AUTH " + name.upper().encode())
        if reply.code == 334 and (prompted or not reply.text.strip()):
            return await self._say(blob)
        return reply

    async def _cram_md5(self) -> Reply:
        """RFC 2195."""
        reply = await self._say(b"AUTH CRAM-MD5")
        if reply.code != 334:
            return reply
        challenge = _decoded(reply.text)
        if not challenge:
            return await self._cancelled("its challenge cannot be read")
        try:
            digest = hmac.new(self.secret, challenge, "md5").hexdigest()
        except ValueError:
            # MD5 is missing from a Python that is restricted to approved digests.
            return await self._cancelled("it cannot be computed here")
        self._sent = True
        return await self._say(base64.b64encode(self._user + b" " + digest.encode()))

    async def _login(self) -> Reply:
        """Answer what is asked for: no RFC has AUTH LOGIN, and servers differ in the order they ask in."""
        reply = await self._say(b"AUTH LOGIN")
        for number in range(MOST_PROMPTS):
            if reply.code != 334:
                return reply
            prompt = (_decoded(reply.text) or reply.text.encode()).decode("utf-8", "replace").lower()
            if any(part in prompt for part in PASSWORD_PROMPTS):
                password = True
            elif any(part in prompt for part in USER_PROMPTS):
                password = False
            else:
                password = number > 0
            if password and self._sent:
                break
            if password:
                self._sent = True
            reply = await self._say(base64.b64encode(self.secret if password else self._user))
        return (
            reply if reply.code != 334 else await self._cancelled("it asks for more than user and password")
        )

    async def _cancelled(self, why: str) -> Reply:
        """End an exchange that leads nowhere."""
        reply = await self._say(CANCEL)
        return Reply(code=501, text=f"{why} ({reply})")


def usable(relay: Endpoint, offered: Sequence[str], harmless: Callable[[str], str] = str) -> list[str]:
    """Give the mechanisms that both sides have, the strongest first, or the one asked for; or RelayFault."""
    if not offered:
        raise RelayFault(
            "login",
            f"{relay.display} offers no login",
            "take user and password out if it needs none, or use the port it has for submission",
        )
    fitting = [name for name in MECHANISMS if (name in TOKEN_MECHANISMS) == bool(relay.token_command)]
    wanted = [relay.auth] if relay.auth else fitting
    if found := [name for name in wanted if name in offered]:
        return found
    raise RelayFault(
        "login",
        f"{relay.display} offers {readable(harmless(', '.join(offered))).upper()} to log in with, "
        f"and not {' or '.join(wanted).upper()}",
        _other_way(relay, [name for name in fitting if name in offered], offered),
    )


def _other_way(relay: Endpoint, fitting: list[str], offered: Sequence[str]) -> str:
    """Say what to do when the relay has not what is asked of it."""
    if fitting:
        return f'take auth out, or write auth = "{fitting[0]}"'
    if not relay.token_command and any(name in offered for name in TOKEN_MECHANISMS):
        return "it takes tokens (OAuth 2) alone: use token-command in place of the password"
    if relay.token_command and any(name in offered for name in MECHANISMS):
        return "it takes passwords alone: use password-file in place of token-command"
    return "cronwrap can do none of them: ask the relay's owner for PLAIN over TLS, or use another port of it"


def _decoded(text: str) -> bytes | None:
    """Give what a challenge says; None when it is no base64."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
