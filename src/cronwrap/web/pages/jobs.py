"""The list of the jobs, one job, and what can be done to it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote, urlencode

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cronwrap.manage.listing import ORDERS
from cronwrap.spans import count
from cronwrap.web.asking import Asking
from cronwrap.web.deeds.base import Refused
from cronwrap.web.guard import FORM
from cronwrap.web.pages import charts, words
from cronwrap.web.pages.render import address, after, back, page

PAGE = 100
"""Jobs of one page."""
CHIPS = (
    ("All", "", ""),
    ("Failing", "failing", "bad"),
    ("Late", "late", "late"),
    ("Running", "running", "run"),
    ("Paused", "paused", "pause"),
    ("Muted", "muted", "pause"),
    ("Not wrapped", "unwrapped", "none"),
)
HEADS = (("name", "Job"), ("", "Last 20 runs"), ("last", "Last"), ("took", "Took"), ("next", "Next"))
CHARTED = 60
"""Runs of the chart of a job."""
RUNS = 30
"""Runs of the table on a job's page."""
DEEDS = ("run", "pause", "resume", "mute", "unmute")
UNTIL_OK = "mute-until-ok"
"""What a button may say besides."""
ENDS = (
    ("1h", "for 1 hour"),
    ("4h", "for 4 hours"),
    ("1d", "for 1 day"),
    ("7d", "for 7 days"),
    ("", "until I end it"),
)


async def listed(request: Request) -> Response:
    """Give the jobs that the visitor may see, what needs somebody first."""
    asking = Asking(request)
    asked = {name: request.query_params.get(name, "") for name in ("q", "state", "order")}
    order = asked["order"] if asked["order"] in ORDERS else "attention"
    cursor = request.query_params.get("cursor", "")
    first = int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) < 10 else 0
    several = len(await asking.users()) > 1
    # Of one user the part that is shown; of several from each as many as all of it may be theirs.
    wanted = {"cursor": 0, "limit": first + PAGE} if several else {"cursor": first, "limit": PAGE}
    found, refused = await asking.everyone("jobs.list", {**asked, "order": order, **wanted})
    ranked = sorted((rank, user, number) for user, one in found for number, rank in enumerate(one["ranks"]))
    answers = dict(found)
    part = ranked[first : first + PAGE] if several else ranked
    total = sum(answer["total"] for answer in answers.values())
    counts = _summed(answer["counts"] for answer in answers.values())
    waiting = _waiting([answer["waiting"] for answer in answers.values()])
    request.app.state.badges[asking.visitor.user] = waiting["number"]
    if mine := answers.get(asking.visitor.user):
        request.app.state.fleets[asking.visitor.user] = mine["fleet"]
    now = time.time()
    return page(
        request,
        "jobs.html",
        title="Jobs",
        rows=[as_row(answers[user]["items"][number], now) for _rank, user, number in part],
        several=several,
        q=asked["q"],
        state=asked["state"],
        order=order,
        chips=list(_chips(counts, asked)),
        heads=HEADS,
        orders={name: address("", **{**asked, "order": name}) for name in ORDERS},
        waiting=waiting,
        behind=[answer["behind"] for answer in answers.values() if answer["behind"]],
        faults=_faults(answers, refused),
        first=address("", **asked) if first else "",
        following=address("", **asked, cursor=first + PAGE) if first + PAGE < total else "",
        total_all=counts.get("all", 0) or bool(asked["q"]),
    )


def as_row(row: dict[str, Any], now: float) -> dict[str, Any]:
    """Give a job with what the page says of it."""
    kind, sign, said = words.state(row)
    return {
        **row,
        "class": kind,
        "sign": sign,
        "words": said,
        "title": words.title(row),
        "notes": words.notes(row, now),
        "strip": charts.strip(row["bars"]),
        "address": of_job(row["user"], row["job"]),
    }


def of_job(user: str, job: str) -> str:
    """Give the address of a job's page; in its query stands a name that no path can have."""
    if any(part in (".", "..") for part in job.split("/")):
        return address("jobs", user, job=job)
    return address("jobs", user, job)


def _unix(text: str) -> float:
    return words.unix(text) or 0.0


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for name, number in one.items():
            total[name] = total.get(name, 0) + number
    return total


def _waiting(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Give what waits in all outboxes, in words."""
    queued, failed = (sum(one[name] for one in found) for name in ("queued", "failed"))
    oldest = min((one["since"] for one in found if one["since"]), key=_unix, default=None)
    parts = []
    if queued:
        begun = words.unix(oldest)
        long = f" since {words.since(begun, time.time())}" if begun else ""
        parts.append(f"{count(queued, 'report')} {'waits' if queued == 1 else 'wait'} in the outbox{long}")
    if failed:
        parts.append(f"{count(failed, 'report')} could not be delivered")
    why = next((one["why"] for one in found if one["why"]), "")
    return {
        "number": queued + failed,
        "loud": any(one["loud"] for one in found),
        "words": f"{' and '.join(parts)}{': ' + why.rstrip('.') if why else ''}.",
    }


def _chips(counts: dict[str, int], asked: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Give the filters, those that nothing falls under left out."""
    for name, state, kind in CHIPS:
        number, here = counts.get(state or "all", 0), state == asked["state"]
        if number or here or not state:
            where = address("", **{**asked, "state": state})
            yield {"name": name, "class": kind, "count": number, "here": here, "address": where}


def _faults(answers: dict[str, Any], refused: list[tuple[str, Refused]]) -> list[str]:
    found = [fault for answer in answers.values() for fault in answer["faults"]]
    return [*found, *(f"{user}: {one.detail or one.title}" for user, one in refused)]


# One job ----------------------------------------------------------------------------------------


async def one(request: Request) -> Response:
    """Give a job: how it stands, what can be done, how long it takes, its runs, its lines."""
    asking = Asking(request)
    user, job = _named(request)
    cursor = request.query_params.get("cursor", "")
    row = await asking.one(user, "jobs.one", {"job": job})
    runs = await asking.one(user, "runs.list", {"job": job, "limit": RUNS, "cursor": cursor})
    charted = await asking.one(user, "runs.list", {"job": job, "limit": CHARTED})
    now = time.time()
    return page(
        request,
        "job.html",
        title=words.title(row),
        row=as_row(row, now),
        runs=runs["items"],
        chart=charts.chart(charted["items"][::-1]),
        first=of_job(user, job) if cursor else "",
        following=_with_cursor(of_job(user, job), runs["next"]),
        ends=ENDS,
        next_words=words.when(words.unix(row["next"]) or 0.0, now) if row["next"] else "",
    )


def _with_cursor(where: str, cursor: str | None) -> str:
    return f"{where}{'&' if '?' in where else '?'}{urlencode({'cursor': cursor})}" if cursor else ""


def _named(request: Request) -> tuple[str, str]:
    found = request.path_params
    return found["user"], found.get("job") or request.query_params.get("job", "")


async def act(request: Request) -> Response:
    """Do what the button says that was pressed, to the job that it, or its form, is about.

    A button says it by its name and value alone: w3m and lynx know of no others, ``formaction`` say.
    """
    form = request.scope[FORM]
    deed = form.get("do", [""])[0]
    about = form.get("of", [""])[0]
    if not deed:
        deed = next((name for name in DEEDS if name in form), "")
        about = form.get(deed, [""])[0]
    if deed == UNTIL_OK:
        deed, form["until_ok"] = "mute", ["yes"]
    whose, slash, named = about.partition("/")
    if deed not in DEEDS or not slash:
        raise Refused(422, "The form is not what it was")
    user, job = (unquote(part, errors="surrogateescape") for part in (whose, named))
    return await _changed(request, user, job, deed)


async def change(request: Request) -> Response:
    """Run a job, pause it, resume, mute or unmute it; then lead on to where the form was."""
    return await _changed(request, *_named(request), request.path_params["deed"])


async def _changed(request: Request, user: str, job: str, deed: str) -> Response:
    form = request.scope[FORM]
    arguments = {name: form[name][0] for name in ("for", "until", "line") if form.get(name, [""])[0]}
    if "until_ok" in form:
        arguments = {"until_ok": True}
    found = await Asking(request).one(user, f"jobs.{deed}", {"job": job, **arguments})
    if deed == "run":
        if found["run"]:
            return after(address("runs", found["run"], user=user), f"{job} runs, by hand")
        return after(back(request, of_job(user, job)), f"{job} was started; its run is not seen yet")
    return after(back(request, of_job(user, job)), found["said"])


class _Job(StringConvertor):
    """A job's name in an address: whatever it has, slashes and line feeds too."""

    regex = "(?s:.+)"


class _Deed(StringConvertor):
    """What can be done to a job."""

    regex = "|".join(DEEDS)


register_url_convertor("job", _Job())
register_url_convertor("deed", _Deed())

ROUTES = [
    Route("/", listed),
    Route("/jobs", act, methods=["POST"]),
    Route("/jobs/{user}/{job:job}/{deed:deed}", change, methods=["POST"]),
    Route("/jobs/{user}/{deed:deed}", change, methods=["POST"]),
    Route("/jobs/{user}/{job:job}", one),
    Route("/jobs/{user}", one),
]
