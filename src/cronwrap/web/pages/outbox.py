"""What waits to be sent and what was given up: read, tried again, thrown away."""

from __future__ import annotations

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cronwrap.web.asking import Asking
from cronwrap.web.deeds.base import Refused
from cronwrap.web.guard import FORM
from cronwrap.web.pages.render import address, after, page

PAGE = 100
DEEDS = ("retry", "drop")


async def listed(request: Request) -> Response:
    """Give the messages that are not delivered, the oldest first."""
    asking = Asking(request)
    cursor = request.query_params.get("cursor", "")
    found, refused = await asking.everyone("outbox.list", {"limit": PAGE, "cursor": cursor})
    items = [{**item, "user": user} for user, answer in found for item in answer["items"]]
    request.app.state.badges[asking.visitor.user] = sum(answer["total"] for _user, answer in found)
    following = next((answer["next"] for _user, answer in found if answer["next"]), None)
    return page(
        request,
        "outbox.html",
        title="Outbox",
        items=items,
        failed=[item for item in items if item["state"] == "failed"],
        queued=[item for item in items if item["state"] != "failed"],
        first=address("outbox") if cursor else "",
        following=address("outbox", cursor=following) if following else "",
        faults=[f"{user}: {one.detail or one.title}" for user, one in refused],
        several=len(await asking.users()) > 1,
    )


async def one(request: Request) -> Response:
    """Give a message as its reader would see it."""
    identity = request.path_params["id"]
    user = request.query_params.get("user", "")
    user, found = await Asking(request).anywhere("outbox.show", {"id": identity}, user=user)
    return page(request, "message.html", title=found["subject"], item={**found, "user": user})


async def change(request: Request) -> Response:
    """Try a message again, or throw it away."""
    identity = request.path_params["id"]
    deed = request.path_params.get("deed") or request.scope[FORM].get("do", [""])[0]
    if deed not in DEEDS:
        raise Refused(422, "The form is not what it was")
    asking = Asking(request)
    user = request.scope[FORM].get("user", [""])[0]
    user, _found = await asking.anywhere("outbox.show", {"id": identity}, user=user)
    found = await asking.one(user, f"outbox.{deed}", {"id": identity})
    return after("/outbox", found["said"])


class _Deed(StringConvertor):
    """What can be done to a message."""

    regex = "|".join(DEEDS)


register_url_convertor("of_message", _Deed())

ROUTES = [
    Route("/outbox", listed),
    Route("/outbox/{id}", one),
    Route("/outbox/{id}", change, methods=["POST"]),
    Route("/outbox/{id}/{deed:of_message}", change, methods=["POST"]),
]
