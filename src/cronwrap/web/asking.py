"""What a visitor asks, of users whose things they may see: the one way from pages and API to the actor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request

from cronwrap.web.actor import Actor
from cronwrap.web.deeds import DEEDS
from cronwrap.web.deeds.base import Arguments, Piece, Refused
from cronwrap.web.guard import VISITOR
from cronwrap.web.users import users
from cronwrap.web.visitor import Visitor

NOT_THERE = Refused(404, "There is nothing here")
"""What is another's is as what is not there."""


class Asking:
    """A visitor, and who does what they ask."""

    def __init__(self, request: Request) -> None:
        self.visitor: Visitor = request.scope[VISITOR]
        self._actor: Actor = request.app.state.actor

    async def one(self, user: str, deed: str, arguments: Arguments | None = None) -> Any:
        """Have a deed done as a user. Refused when it cannot be, or is not this visitor's to ask."""
        self._check(user, deed)
        return await self._actor.call(user, deed, arguments or {}, asker=self.visitor_words)

    async def stream(
        self, user: str, deed: str, arguments: Arguments | None = None
    ) -> AsyncIterator[Piece | dict[str, Any]]:
        """Have a deed done that streams; give its pieces."""
        self._check(user, deed)
        async for piece in self._actor.stream(user, deed, arguments or {}, asker=self.visitor_words):
            yield piece

    async def users(self) -> list[str]:
        """Give the users whose things this visitor may see, root first."""
        if not self.visitor.root or self._actor.uid:
            return [self.visitor.user]
        return await users()

    async def everyone(
        self, deed: str, arguments: Arguments | None = None, *, user: str = ""
    ) -> tuple[list[tuple[str, Any]], list[tuple[str, Refused]]]:
        """Have a deed done as each user (or as ``user`` alone); give what came, and who could not."""
        whose = [user] if user else await self.users()
        answers = await asyncio.gather(*(self._settled(one, deed, arguments) for one in whose))
        pairs = list(zip(whose, answers, strict=True))
        found = [(one, answer) for one, answer in pairs if not isinstance(answer, Refused)]
        refused = [(one, answer) for one, answer in pairs if isinstance(answer, Refused)]
        if refused and not found:
            raise refused[0][1]
        return found, refused

    async def anywhere(self, deed: str, arguments: Arguments, *, user: str = "") -> tuple[str, Any]:
        """Have a deed done as the first user who has what it is about; give who that is, and what it gave."""
        refusals: list[Refused] = []
        for whose in [user] if user else await self.users():
            answer = await self._settled(whose, deed, arguments)
            if not isinstance(answer, Refused):
                return whose, answer
            refusals.append(answer)
        raise next((one for one in refusals if one.status != 404), refusals[0])

    async def _settled(self, user: str, deed: str, arguments: Arguments | None) -> Any:
        try:
            return await self.one(user, deed, arguments)
        except Refused as refused:
            return refused

    @property
    def visitor_words(self) -> str:
        """Give who asks, for the audit and for whoever wonders who paused a job."""
        return self.visitor.user

    def _check(self, user: str, deed: str) -> None:
        if not self.visitor.may_see(user):
            raise NOT_THERE
        if self.visitor.read_only and DEEDS[deed].changes:
            raise Refused(403, "This page is read-only")
