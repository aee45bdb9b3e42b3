"""Recipients and senders as people write them, taken apart and checked (RFC 5322, 3.4).

What leaves this module is safe to put into a header and an envelope: nothing in it ends a line, an
address or a list.
"""

from __future__ import annotations

from cronwrap.model import Record
from cronwrap.text import one_line

LOCAL_LIMIT, DOMAIN_LIMIT = 64, 255
"""Octets (RFC 5321, 4.5.3.1.1 and 4.5.3.1.2)."""
LABEL_LIMIT = 63
"""Octets between two dots of a domain (RFC 1035, 2.3.4)."""
LOCAL = "local-name.invalid"
"""Stands for "no domain" while addresses are read (RFC 2606 keeps it from being anybody's)."""
SHOWN = 60
"""Characters of a faulty address that its error shows."""

_ALNUM = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_ATEXT = _ALNUM | frozenset("!#$%&'*+-/=?^_`{|}~")
_LABEL = _ALNUM | frozenset("-_")
_LITERAL = _ALNUM | frozenset(".:-")

TEXT, QUOTED, COMMENT, SIGN = range(4)
"""Kinds of tokens: text, quoted string, comment, and one of ``,<>``."""


class Address(Record):
    """One recipient or sender."""

    name: str
    """The display name, decoded; often empty."""
    spec: str
    """``local@domain``, ASCII: valid in a header and in an envelope."""


def addresses(text: str, host: str) -> tuple[Address, ...]:
    """Take a comma-separated list apart: ``a@b``, ``Name <a@b>``, ``"Name, N." <a@b>``, ``root``.

    A bare local name gets ``host`` as its domain; a domain outside ASCII its IDNA form. Empty members
    are passed over. ValueError says which member is no address, and why.
    """
    return tuple(_address(member, host) for member in _members(text))


def usable(text: str, host: str) -> tuple[tuple[Address, ...], tuple[str, ...]]:
    """Give the members of a list that are addresses, and what is wrong with the others, a line each."""
    found, faults = [], []
    try:
        members = _members(text)
    except ValueError as error:
        return (), (str(error),)
    for member in members:
        try:
            found.append(_address(member, host))
        except ValueError as error:
            faults.append(str(error))
    return tuple(found), tuple(faults)


def _members(text: str) -> list[list[tuple[int, str]]]:
    """Give the tokens of each member that is not empty; ValueError when the text cannot be taken apart."""
    if any(character in "\r\n\0" for character in text):
        raise ValueError(f"{_shown(text)} holds a line break or NUL, which no address may")
    found: list[list[tuple[int, str]]] = [[]]
    for token in _tokens(text):
        if token == (SIGN, ","):
            found.append([])
        else:
            found[-1].append(token)
    return [member for member in found if member]


def own_names(host: str) -> set[str]:
    """Give the domains, in lower case, that mean this host in an address."""
    short = host.partition(".")[0]
    names = {"localhost", "localhost.localdomain", host, short, f"{short}.localdomain"}
    return {name.lower() for name in names}


def at_home(text: str, host: str, house: str) -> str:
    """Give a list of recipients in which local names stand for ``house``, the list of the configuration.

    What is no address stays as it is, to be told of. Where the host bears the name of the mail domain, its
    addresses are real ones.
    """
    try:
        members = _members(text)
    except ValueError:
        return text
    mail_domains = {address.spec.rpartition("@")[2].lower() for address in usable(house, LOCAL)[0]}
    local = own_names(host) - mail_domains | {LOCAL}
    found: dict[str, None] = {}
    for member in members:
        written = " ".join(token for _kind, token in member)
        try:
            name = _address(member, LOCAL).spec.rpartition("@")[2].lower()
        except ValueError:
            name = ""
        found[house if name in local else written] = None
    return ", ".join(found)


def fallback(user: str, host: str) -> str:
    """Give ``user@host`` whatever the two hold: other characters than an address may have become ``-``."""
    local = "".join(character if character in _ATEXT else "-" for character in user)[:LOCAL_LIMIT]
    return f"{local or 'root'}@{domain(host)}"


def domain(host: str) -> str:
    """Give a host name as a domain, whatever it holds; ``localhost`` when it holds nothing of use."""
    labels = host.strip().split(".")
    kept = ["".join(c if c in _LABEL else "-" for c in label)[:LABEL_LIMIT] for label in labels]
    name = ".".join(label for label in kept if label)
    return name[:DOMAIN_LIMIT].rstrip(".") or "localhost"


def _tokens(text: str) -> list[tuple[int, str]]:
    """Give text, quoted strings and comments (both with their delimiters) and signs, in their order.

    White space around them is left out, and so is text that holds nothing else.
    """
    tokens = []
    at = start = 0
    while at < len(text):
        character = text[at]
        if character not in ',<>"(':
            at += 1
            continue
        tokens.append((TEXT, text[start:at].strip()))
        start = at
        at = at + 1 if character in ",<>" else _closed(text, at)
        kind = QUOTED if character == '"' else COMMENT if character == "(" else SIGN
        tokens.append((kind, text[start:at]))
        start = at
    tokens.append((TEXT, text[start:].strip()))
    return [token for token in tokens if token[1]]


def _closed(text: str, at: int) -> int:
    """Give where the quoted string or comment that opens at ``at`` is over; comments nest."""
    closing = '"' if text[at] == '"' else ")"
    depth, start = 0, at
    while at < len(text):
        character = text[at]
        at += 1
        if character == "\\":
            at += 1
        elif character == closing and (depth == 1 or closing == '"') and at - 1 > start:
            return at
        elif closing == ")":
            depth += (character == "(") - (character == ")")
    raise ValueError(f"{_shown(text[start:])} lacks its closing {closing}")


def _unquoted(token: tuple[int, str]) -> str:
    """Give what a token says: quoted strings and comments without their delimiters and backslashes."""
    kind, text = token
    if kind == TEXT:
        return text
    inside = text[1:-1]
    plain = []
    at = 0
    while at < len(inside):
        at += inside[at] == "\\"
        plain.append(inside[at : at + 1])
        at += 1
    return "".join(plain)


def _address(member: list[tuple[int, str]], host: str) -> Address:
    """Take one address apart: a bare one, or one in angle brackets after its name."""
    written = " ".join(text for _kind, text in member)
    words = [token for token in member if token[0] != COMMENT]
    signs = [text for kind, text in words if kind == SIGN]
    if not signs:
        name = " ".join(_unquoted(token) for token in member if token[0] == COMMENT)
        text = "".join(text for _kind, text in words)
        if len(words) == 1 and words[0][0] == QUOTED and "@" in text:
            text = _unquoted(words[0])  # "a@b", "c@d": quotes around each address, and nobody's local name
        return Address(name=name, spec=_spec(text, written, host))
    opening = words.index((SIGN, "<")) if signs == ["<", ">"] else -1
    if opening < 0 or words[-1] != (SIGN, ">"):
        raise ValueError(f"{_shown(written)} is not an address: write Name <local@domain>")
    name = " ".join(" ".join(_unquoted(token) for token in words[:opening]).split())
    return Address(
        name=name, spec=_spec("".join(text for _kind, text in words[opening + 1 : -1]), written, host)
    )


def _spec(text: str, written: str, host: str) -> str:
    """Give ``local@domain`` checked, in ASCII; ``written`` is the whole address, for the error."""
    local, at, name = text.rpartition("@") if "@" in text.rpartition('"')[2] else (text, "", "")
    reason = _local_fault(local)
    if reason:
        raise ValueError(f"{_shown(written)} is not an address: {reason}")
    try:
        return f"{local}@{_domain(name) if at else domain(host)}"
    except ValueError as error:
        raise ValueError(f"{_shown(written)} is not an address: {error}") from None


def _local_fault(local: str) -> str:
    """Say what is wrong with what stands before the ``@``; empty when it is good."""
    if not local:
        return "nothing stands before the @"
    if len(local) > LOCAL_LIMIT:
        return f"more than {LOCAL_LIMIT} characters stand before the @"
    if not local.isascii():
        return "before the @ only ASCII is possible, since not every relay has SMTPUTF8"
    if local.startswith('"'):
        return "" if _closed(local, 0) == len(local) and local.isprintable() else "the quotes do not fit"
    for character in local:
        if character not in _ATEXT and character != ".":
            what = {"@": "another @", " ": "a space"}.get(character, repr(character))
            return f"{what} stands before the @ (use commas between addresses)"
    return "a dot stands at an end or beside another" if "" in local.split(".") else ""


def _domain(name: str) -> str:
    """Give a domain in ASCII, checked; ValueError says what is wrong."""
    if name.startswith("[") and name.endswith("]") and len(name) > 2 and _LITERAL.issuperset(name[1:-1]):
        return name
    name = name.removesuffix(".")
    if not name.isascii():
        try:
            from cronwrap.domain import to_ascii  # noqa: PLC0415  # for such names alone

            name = to_ascii(name)
        except ValueError:
            raise ValueError(f"{_shown(name)} is no domain in IDNA") from None
    labels = name.split(".")
    if not name or len(name) > DOMAIN_LIMIT or not all(0 < len(label) <= LABEL_LIMIT for label in labels):
        raise ValueError("what stands after the @ is no domain")
    if labels[-1].isdigit():
        raise ValueError(f"an address of the network stands in brackets: [{name}]")
    if any(label.startswith("-") or label.endswith("-") for label in labels):
        raise ValueError("a label of the domain begins or ends with -")
    strange = [character for character in name if character not in _LABEL and character != "."]
    if strange:
        raise ValueError(f"the domain holds {strange[0]!r}")
    return name


def _shown(text: str) -> str:
    """Give a faulty text for an error's line, harmless and not too long."""
    return f"'{one_line(text, SHOWN)}'"
