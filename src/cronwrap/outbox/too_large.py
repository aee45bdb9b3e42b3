"""What is done when a relay finds a message too large: it goes in a smaller form, which says so.

The message in the outbox stays whole until then, for another relay may take it as it is.
"""

from __future__ import annotations

from cronwrap.mail import Delivery, Envelope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST = b"\r\nX-Cronwrap-Digest:"
"""What tells a digest of reports from a report."""
ABANDONED = "-abandoned"
"""What the id of a message about an abandoned run has behind the run's."""


def send(
    hand_over: Callable[[Envelope, bytes], Delivery], envelope: Envelope, content: bytes, identity: str
) -> Delivery:
    """Hand a message over, in a smaller form to those for whom it is too large; give what became of it.

    ``identity`` is its id in the outbox; empty when it is not there. A message that is no report of a run is
    nowhere else: who gets only a part of it is among the ``refused``, so that the whole goes into ``failed``.
    """
    delivery = hand_over(envelope, content)
    if not delivery.too_large:
        return delivery
    if DIGEST in content.partition(b"\r\n\r\n")[0]:  # it is taken apart, and its reports go by themselves
        return delivery.replace(refused=(*delivery.refused, *delivery.too_large), too_large=())
    return _in_smaller_forms(hand_over, envelope.sender, content, identity, delivery)


def _in_smaller_forms(
    hand_over: Callable[[Envelope, bytes], Delivery],
    sender: str,
    content: bytes,
    identity: str,
    delivery: Delivery,
) -> Delivery:
    from cronwrap.report import shorten  # noqa: PLC0415  # imports `email`, and most messages fit

    why = f"The relay does not take more: {delivery.too_large[0][1]}"
    report = shorten.is_report(content)
    for form in shorten.forms(content, why, _elsewhere(identity, report=report), delivery.size_limit):
        concerned = dict(delivery.too_large)
        if not concerned:
            break
        again = hand_over(Envelope(sender=sender, recipients=tuple(concerned)), form)
        partly = (
            () if report else tuple((address, _partly(concerned[address])) for address in again.delivered)
        )
        delivery = Delivery(
            delivered=(*delivery.delivered, *(() if partly else again.delivered)),
            refused=(*delivery.refused, *again.refused, *partly),
            deferred=(*delivery.deferred, *again.deferred),
            too_large=again.too_large,
            size_limit=again.size_limit or delivery.size_limit,
        )
    return delivery.replace(refused=(*delivery.refused, *delivery.too_large), too_large=())


def _elsewhere(identity: str, *, report: bool) -> str:
    if not identity:
        return ""
    if report:
        return f"The output is kept on the host: cronwrap show {identity.removesuffix(ABANDONED)}"
    return f"The whole message is kept on the host: cronwrap outbox show --raw {identity}"


def _partly(why: str) -> str:
    return f"got it without its attachments, or in part ({why})"
