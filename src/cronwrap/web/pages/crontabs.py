"""The pages of crontabs: the list, one line by line, an edit, its difference, earlier states."""

from __future__ import annotations

import base64
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cronwrap.crontab.difference import SIGNS
from cronwrap.crontab.edit import OCTETS, as_form
from cronwrap.crontab.findings import ERROR, WARNING
from cronwrap.crontab.places import whose
from cronwrap.text import iso, moment
from cronwrap.web.asking import NOT_THERE, Asking
from cronwrap.web.deeds.base import Refused
from cronwrap.web.deeds.crontab_table import LINES_SHOWN
from cronwrap.web.guard import FORM
from cronwrap.web.pages.render import after, page

ROWS_LEAST, ROWS_MOST = 12, 40
"""Of the field that a crontab is edited in."""
ROWS_SHOWN = 1000
"""Lines of a difference that stand each in a row of its own; a longer one is shown as diff(1) would."""
FINDINGS_SHOWN = 300
"""Findings on a page, and remarks; of more it is said how many."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Crontab:
    """A crontab that a request is about, for whoever asks."""

    def __init__(self, request: Request) -> None:
        self.id: str = request.path_params["id"]
        user = whose(self.id)
        if user is None:
            raise NOT_THERE
        self._user, self._asking = user, Asking(request)
        self.fields: dict[str, list[str]] = request.scope.get(FORM, {})

    async def deed(self, name: str, /, **arguments: Any) -> Any:
        """Have a deed done about it."""
        return await self._asking.one(self._user, f"crontabs.{name}", {"id": self.id, **arguments})

    def field(self, name: str) -> str:
        """Give what the form has in a field, an empty text where it has none."""
        return self.fields.get(name, [""])[0]


async def listed(request: Request) -> Response:
    """Give the crontabs that the visitor may see; one who has one alone is led to it."""
    found, refused = await Asking(request).everyone("crontabs.list")
    items = [item for _user, answer in found for item in answer["items"]]
    if len(items) == 1 and not refused and not items[0]["fault"]:
        return RedirectResponse(f"/crontab/{items[0]['id']}", status_code=303)
    return page(request, "crontabs.html", title="Crontabs", items=items, refused=refused)


async def one(request: Request) -> Response:
    """Give a crontab line by line, of a long one the page that a ``line`` is on."""
    crontab = Crontab(request)
    found = await crontab.deed("view", line=_number(request.query_params.get("line", "")))
    pickable = any(line.get("wrap") or line.get("unwrap") for line in found["lines"])
    first, behind, total = found["first"], found["first"] + found["shown"], found["total"]
    parts = {"« First": 1, "Before": first - LINES_SHOWN} if first > 1 else {}
    if behind <= total:
        parts |= {"Next": behind, "Last »": total}
    return crontab_page(
        request,
        "crontab.html",
        found,
        "Lines",
        lines=found["lines"],
        zone=found["zone"],
        pickable=pickable,
        whole=found["shown"] == total,
        parts=[(name, f"/crontab/{crontab.id}?line={line}") for name, line in parts.items()],
    )


def _number(text: str) -> int:
    """Give the number of a line that an address asks for; the first for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1


async def findings(request: Request) -> Response:
    """Give what there is to say of the lines of a whole crontab, errors first."""
    found = await Crontab(request).deed("lint")
    told = [one for severity in (ERROR, WARNING) for one in found["findings"] if one["severity"] == severity]
    count = {severity: sum(one["severity"] == severity for one in told) for severity in (ERROR, WARNING)}
    return crontab_page(
        request,
        "crontab_findings.html",
        {**found, "errors": count[ERROR], "warnings": count[WARNING]},
        "Lines",
        total=found["total"],
        told=told[:FINDINGS_SHOWN],
        more=max(0, len(told) - FINDINGS_SHOWN),
    )


async def edit(request: Request) -> Response:
    """Give a crontab in a field, as it is or, by a form, as it is to be."""
    crontab = Crontab(request)
    found = await crontab.deed("read")
    form = found["form"]
    if request.method == "POST":
        form = as_form(_octets(crontab.field("text")))
    return _edit(request, found, form)


async def difference(request: Request) -> Response:
    """Give the difference that an edit makes; 409 and the other change where somebody was faster."""
    crontab = Crontab(request)
    form, etag = crontab.field("form"), crontab.field("etag")
    found = await crontab.deed("read")
    merged = await crontab.deed("merge", etag=etag, form=form, plain_ends=bool(crontab.field("plain_ends")))
    if found["etag"] != etag:
        states = await crontab.deed("states")
        base = next((one for one in states["items"] if one["digest"] == etag), None)
        changed = (await crontab.deed("state", state=base["id"]))["since"] if base else []
        return _edit(request, found, as_form(_octets(merged["text"])), changed=changed, status=409)
    return await shown_difference(request, crontab, found, merged["text"], "saved")


async def wrap(request: Request) -> Response:
    """Give the difference that wrapping or unwrapping the chosen lines makes."""
    crontab = Crontab(request)
    what = "unwrap" if crontab.field("do") == "unwrap" else "wrap"
    chosen = [int(line) for line in crontab.fields.get("line", []) if line.isascii() and line.isdigit()]
    found = await crontab.deed("read")
    if found["etag"] != crontab.field("etag"):
        raise Refused(
            409, "The crontab was changed meanwhile", "Choose the lines anew", back=f"/crontab/{crontab.id}"
        )
    result = await crontab.deed(what, lines=chosen)
    remarks = [change for change in result["changes"] if change["remark"]]
    return await shown_difference(request, crontab, found, result["text"], f"{what}ped", remarks)


async def save(request: Request) -> Response:
    """Save what the difference was shown of, or edit it further."""
    crontab = Crontab(request)
    if crontab.field("do") == "edit":
        return _edit(request, await crontab.deed("read"), as_form(_octets(crontab.field("text"))))
    done = await crontab.deed(
        "save", etag=crontab.field("etag"), text=crontab.field("text"), what=crontab.field("what")
    )
    return _saved(crontab, done, "Saved")


async def restore(request: Request) -> Response:
    """Bring an earlier state back."""
    crontab = Crontab(request)
    done = await crontab.deed("restore", etag=crontab.field("etag"), state=crontab.field("state"))
    return _saved(crontab, done, "Brought back")


async def states(request: Request) -> Response:
    """Give the earlier states of a crontab."""
    found = await Crontab(request).deed("states")
    return crontab_page(request, "crontab_states.html", found, "Earlier states", items=found["items"])


async def state(request: Request) -> Response:
    """Give an earlier state, and what bringing it back would change."""
    found = await Crontab(request).deed("state", state=request.path_params["state"])
    return crontab_page(request, "crontab_state.html", found, "Earlier states", found=found)


def clock(unix: float) -> str:
    """Give a time as a person says it: ``Thu 26 Nov 03:00``."""
    at = time.localtime(unix)
    return f"{WEEKDAYS[at.tm_wday]} {at.tm_mday} {MONTHS[at.tm_mon - 1]} {at.tm_hour:02d}:{at.tm_min:02d}"


async def shown_difference(
    request: Request,
    crontab: Crontab,
    read: dict[str, Any],
    text: str,
    what: str,
    remarks: list[dict[str, Any]] | None = None,
) -> Response:
    """Give the difference that a text makes, with the way to save it."""
    found = await crontab.deed("diff", etag=read["etag"], text=text)
    news = [one for one in found["findings"] if one["new"]]
    return crontab_page(
        request,
        "crontab_difference.html",
        read,
        "Edit",
        found=found,
        text=text,
        what=what,
        remarks=(remarks or [])[:FINDINGS_SHOWN],
        news=news[:FINDINGS_SHOWN],
        untold=max(0, len(remarks or []) - FINDINGS_SHOWN) + max(0, len(news) - FINDINGS_SHOWN),
    )


def _edit(
    request: Request, found: dict[str, Any], form: str, *, changed: Any = None, status: int = 200
) -> Response:
    rows = min(max(form.count("\n") + 3, ROWS_LEAST), ROWS_MOST)
    odd = any(ord(char) >= OCTETS for char in form)
    return crontab_page(
        request,
        "crontab_edit.html",
        found,
        "Edit",
        form=form,
        rows=rows,
        odd=odd,
        changed=changed,
        status=status,
    )


def crontab_page(
    request: Request, name: str, crontab: dict[str, Any], within: str, **context: Any
) -> Response:
    """Give a page of one crontab."""
    context["crontab"] = {"states_fault": "", "errors": 0, "warnings": 0, **crontab}
    context |= {"clock": clock, "iso": iso, "moment": moment, "rows_shown": ROWS_SHOWN, "signs": SIGNS}
    return page(request, name, title=crontab["name"], within=within, **context)


def _saved(crontab: Crontab, done: dict[str, Any], words: str) -> Response:
    said = "Nothing was changed" if done["same"] else words
    if done.get("fault"):
        said += f"; but: {done['fault']}"
    return after(f"/crontab/{crontab.id}", said)


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused(422, "The form is not what it was") from None


ROUTES = [
    Route("/crontab", listed),
    Route("/crontab/{id}", one),
    Route("/crontab/{id}/findings", findings),
    Route("/crontab/{id}/edit", edit, methods=["GET", "POST"]),
    Route("/crontab/{id}/difference", difference, methods=["POST"]),
    Route("/crontab/{id}/wrap", wrap, methods=["POST"]),
    Route("/crontab/{id}/save", save, methods=["POST"]),
    Route("/crontab/{id}/restore", restore, methods=["POST"]),
    Route("/crontab/{id}/states", states),
    Route("/crontab/{id}/states/{state}", state),
]
