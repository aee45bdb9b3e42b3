"""Where secrets stand in a command line: options, variables and headers that are named for them.

Loaded for commands that may have one (``redact.hinted``), and without ``re``, as all that a quiet run
may come by.
"""

from __future__ import annotations

from itertools import pairwise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Spans = Iterator[tuple[int, int]]

# fmt: off
SECRET_PARTS = frozenset((
    "password", "passwd", "passphrase", "pass", "pwd", "passcode", "secret", "secrets", "token",
    "apikey", "credential", "credentials", "userpass", "bearer", "accesskey", "secretkey", "privatekey",
    "authkey", "authtoken", "accesstoken", "sshpass", "pgpassword", "mysqlpwd", "pat",
))
# fmt: on
"""Parts of a name (between ``-``, ``_`` and ``.``) whose value is a secret."""
# fmt: off
SECRET_PAIRS = frozenset((
    "api", "access", "secret", "private", "auth", "account", "encryption", "master", "signing",
    "license", "client", "shared", "storage",
))
# fmt: on
"""Parts that make a secret of a ``key`` after them."""
# fmt: off
PUBLIC_ENDS = frozenset((
    "file", "files", "path", "dir", "directory", "command", "cmd", "fd", "env", "stdin", "prompt",
    "length", "policy", "expiry", "expires", "ttl", "age", "type", "name", "id", "url", "uri",
    "endpoint", "hash", "algorithm", "source", "store", "count", "limit", "timeout", "format",
    "required", "regex",
))
# fmt: on
"""Last parts of names that only say where a secret is, or of what kind."""
# fmt: off
ASKING = frozenset((
    "ask", "no", "without", "prompt", "use", "skip", "disable", "enable", "show", "hide", "print",
    "allow", "require",
))
# fmt: on
"""First parts of options that take no secret."""
HEADER_NAMES = ("auth", "token", "key", "secret", "cookie", "password", "credential")
"""What the names of headers with a secret have in them."""

MYSQL = ("mysql", "mariadb", "xtrabackup", "innobackupex", "mydumper", "myloader", "mytop", "automysqlbackup")
"""Beginnings of the programs that take ``-pSECRET``."""
WITH_VALUE = {
    "sshpass": "p",
    "mongo": "p",
    "mongosh": "p",
    "mongodump": "p",
    "mongorestore": "p",
    "mongoexport": "p",
    "mongoimport": "p",
    "docker": "p",
    "podman": "p",
    "buildah": "p",
    "skopeo": "p",
    "helm": "p",
    "oras": "p",
    "az": "p",
    "ncftpput": "p",
    "ncftpget": "p",
    "mydumper": "p",
    "myloader": "p",
    "redis-cli": "a",
    "ldapsearch": "w",
    "ldapadd": "w",
    "ldapmodify": "w",
    "ldapdelete": "w",
    "ldappasswd": "ws",
    "ldapwhoami": "w",
    "mosquitto_pub": "P",
    "mosquitto_sub": "P",
    "zip": "P",
    "unzip": "P",
    "ipmitool": "P",
    "sqlcmd": "P",
    "bcp": "P",
    "isql": "P",
    "tsql": "P",
    "snmpwalk": "AX",
    "snmpget": "AX",
    "snmpset": "AX",
    "openssl": "k",
}
"""Programs, and the short options of theirs whose value, attached or the next word, is a secret."""
LOGINS = ("docker", "podman", "buildah", "skopeo", "helm", "oras", "az")
"""Those of them whose ``-p`` is another thing unless they ``login``."""
ATTACHED = {"7z": "p", "7za": "p", "7zr": "p", "7zz": "p", "rar": "p", "unrar": "p"}
"""The same where the value is always attached."""
USER_AND_SECRET = {
    "curl": ("uU", ":"),
    "http": ("a", ":"),
    "https": ("a", ":"),
    "xh": ("a", ":"),
    "ab": ("AP", ":"),
    "lftp": ("u", ","),
    "smbclient": ("U", "%"),
    "rpcclient": ("U", "%"),
    "net": ("U", "%"),
    "smbget": ("U", "%"),
    "svn": ("", ":"),
}
"""Programs whose options take a user and a secret, and what stands between the two."""
USER_OPTIONS = ("--user", "--proxy-user", "--auth", "--proxy-header-user")
OPENSSL = ("-pass", "-passin", "-passout")
"""Options of openssl that say where a secret is, or with ``pass:`` what it is."""
CURL_FLAGS = frozenset("sSfkLgiIvNaBGJjlnOpqRZ#0123461")
"""Short options of curl without a value: others may follow them in the same word."""
LOGIN_WITH_SLASH = ("sqlplus", "expdp", "impdp", "exp", "imp", "rman", "sqlldr")
"""Oracle's ``user/secret@database``."""
# fmt: off
PREFIXES = frozenset((
    "sudo", "env", "exec", "nice", "ionice", "time", "timeout", "nohup", "doas", "chronic", "flock",
    "command", "setsid", "stdbuf",
))
# fmt: on
"""Programs that run another one."""
BREAKS = ";|&()\n"
QUOTES = "'\""


def find(command: str) -> Spans:
    """Give where the secrets of a command are, in characters; they may overlap."""
    program, prefixed = "", False
    rest = iter(_words(command, 0, len(command)))
    word = next(rest, None)
    while word is not None:
        begin, end = word
        following = next(rest, None)
        text = command[begin:end]
        if text in BREAKS or not text:
            program, prefixed = "", False
        else:
            yield from _inside(command, begin, end)
            name = _bare(text).rpartition("/")[2]
            if name in PREFIXES and not program:
                prefixed = True
            elif _matters(name) and not text.startswith("-"):
                program = name  # wherever it stands: ``docker exec db mysql -pSECRET``
            elif not (program or prefixed or _is_assignment(text) or text.startswith("-")):
                program = name
            elif text.startswith(("-", '"-', "'-")):
                yield from _of_option(command, program, word, following)
            elif program in LOGIN_WITH_SLASH and "/" in text and not text.startswith("/"):
                yield begin + text.find("/") + 1, begin + (text.rfind("@") if "@" in text else len(text))
        word = following


def _matters(program: str) -> bool:
    known = program in WITH_VALUE or program in ATTACHED or program in USER_AND_SECRET
    return known or program.startswith(MYSQL) or program in LOGIN_WITH_SLASH


# Words --------------------------------------------------------------------------------------------


def _words(text: str, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Give the words between two places, as a shell would cut them; those within quotes afterwards."""
    quoted: list[tuple[int, int]] = []
    begin = at
    while at <= end:
        char = text[at : at + 1] if at < end else "\n"
        if char in QUOTES:
            closing = _closing(text, at, end)
            inner = text[at + 1 : closing]
            if any(space in inner for space in " \t\n"):
                quoted.append((at + 1, closing))
            at = closing + 1
        elif char == "\\":
            at += 2
        elif char.isspace() or char in BREAKS:
            if at > begin:
                yield begin, min(at, end)
            if char in BREAKS and at < end:
                yield at, at + 1
            at += 1
            begin = at
        else:
            at += 1
    if begin < end < at - 1:
        yield begin, end
    for first, last in quoted:
        yield end, end
        yield from _words(text, first, last)


def _closing(text: str, at: int, end: int) -> int:
    """Give where the quote at ``at`` is closed, or the end."""
    quote = text[at]
    at += 1
    while at < end and text[at] != quote:
        at += 2 if text[at] == "\\" and quote == '"' else 1
    return min(at, end)


def _bare(text: str) -> str:
    return text.strip(QUOTES + "\\`$(")


def _is_assignment(text: str) -> bool:
    name, equals, _value = text.partition("=")
    return bool(equals) and name.isidentifier()


# What is secret -----------------------------------------------------------------------------------


def _is_secret_name(name: str) -> bool:
    """Say whether what is called so is a secret: ``PGPASSWORD``, ``--http-password``, ``api_key``."""
    parts = [part for part in name.lower().replace("_", "-").replace(".", "-").split("-") if part]
    if not parts or parts[-1] in PUBLIC_ENDS or parts[0] in ASKING or name in ("PWD", "OLDPWD"):
        return False
    keys = any(before in SECRET_PAIRS and part == "key" for before, part in pairwise(parts))
    return keys or any(
        part in SECRET_PARTS or part.endswith(("password", "passwd", "passphrase")) for part in parts
    )


def _value(text: str, begin: int, end: int) -> Spans:
    """Give a value without its quotes; nothing for one that a variable or a program gives."""
    while begin < end and text[begin] in QUOTES + "\\":
        begin += 1
    while end > begin and text[end - 1] in QUOTES:
        end -= 1
    if begin < end and text[begin] not in "$`" and text[begin:end] not in ("-", "--"):
        yield begin, end


def _inside(text: str, begin: int, end: int) -> Spans:
    """Give the values in a word: ``NAME=VALUE`` wherever it stands, headers, JSON, ``user:secret@host``."""
    at = begin
    while (equals := text.find("=", at, end)) >= 0:
        first = equals
        while first > begin and (text[first - 1].isalnum() or text[first - 1] in "_-."):
            first -= 1
        at = equals + 1
        if _is_secret_name(text[first:equals].strip("-")):
            last = at
            quote = text[at : at + 1]
            if quote and quote in QUOTES:
                last = min(end, _closing(text, at, end) + 1)
            else:
                while last < end and text[last] not in "&\"' \t\n;":
                    last += 2 if text[last] == "\\" else 1
            yield from _value(text, at, min(last, end))
            at = max(at, last)
    at = begin
    while (colon := text.find(":", at, end)) >= 0:
        at = colon + 1
        yield from _after_colon(text, begin, colon, end)
    yield from _url_user(text, begin, end)


def _after_colon(text: str, begin: int, colon: int, end: int) -> Spans:
    """Give the value of a header (``X-Api-Key: abc``) or of a member in JSON (``"password": "abc"``)."""
    last = colon
    while last > begin and text[last - 1] in "\\\"' ":
        last -= 1
    first = last
    while first > begin and (text[first - 1].isalnum() or text[first - 1] in "_-."):
        first -= 1
    name = text[first:last]
    value = colon + 1
    while value < end and text[value] in "\\\"' \t":
        value += 1
    member = last < colon
    header = not member and "-" in name and any(word in name.lower() for word in HEADER_NAMES)
    header = header or (
        not member and name.lower() in ("cookie", "authorization") and text[colon + 1 : colon + 2] == " "
    )
    if member and _is_secret_name(name):
        stop = value
        while stop < end and text[stop] not in "\\\"',}":
            stop += 1
        yield from _value(text, value, stop)
    elif header and text[colon + 1 : colon + 3] != "//":
        stop = value
        while stop < end and text[stop] not in QUOTES:
            stop += 1
        yield from _value(text, value, stop)


def _url_user(text: str, begin: int, end: int) -> Spans:
    """Give a password before a host without a scheme, and a user of a URL that looks like a token."""
    at = text.find("@", begin, end)
    if at < 0:
        return
    scheme = text.find("://", begin, at)
    if scheme >= 0:
        user = text[scheme + 3 : at]
        mixed = any(char.isdigit() for char in user) and any(char.isalpha() for char in user)
        if ":" not in user and "/" not in user and len(user) >= 12 and mixed:
            yield scheme + 3, at
        return
    colon = text.find(":", begin, at)
    user = text[begin:colon].strip(QUOTES)
    if colon > begin and user.replace("-", "").replace(".", "").replace("_", "").isalnum() and colon + 1 < at:
        yield colon + 1, at


def _of_option(text: str, program: str, word: tuple[int, int], following: tuple[int, int] | None) -> Spans:
    """Give the secret that an option brings, attached or as the next word."""
    begin, end = word
    begin += text[begin] in QUOTES
    name = text[begin:end].strip(QUOTES)
    if following and text[following[0] : following[1]] in (*BREAKS, ""):
        following = None
    if name.startswith("--") or (len(name) > 3 and name[1].isalpha() and _is_secret_name(name[1:])):
        yield from _of_long_option(text, name, word, following, program)
    elif len(name) > 1:
        yield from _of_short_option(text, program, (begin, end), following)
    if name in OPENSSL and following and text.startswith("pass:", following[0]):
        yield from _value(text, following[0] + len("pass:"), following[1])


def _of_long_option(
    text: str, name: str, word: tuple[int, int], following: tuple[int, int] | None, program: str
) -> Spans:
    option, equals, _ = name.partition("=")
    separator = USER_AND_SECRET.get(program, ("", ""))[1]
    if option in USER_OPTIONS and separator:
        first, last = (word[0] + len(option) + 1, word[1]) if equals else following or (0, 0)
        yield from _after(text, separator, first, last)
    elif equals or not following or text.startswith("-", following[0]) or name in OPENSSL:
        return
    elif _is_secret_name(option.strip("-")):
        yield from _value(text, *following)


def _of_short_option(
    text: str, program: str, word: tuple[int, int], following: tuple[int, int] | None
) -> Spans:
    begin, end = word
    letter = text[begin + 1]
    if (program.startswith(MYSQL) and letter == "p" and end - begin > 2) or (
        letter in ATTACHED.get(program, "") and end - begin > 2
    ):
        yield from _value(text, begin + 2, end)
    elif letter in WITH_VALUE.get(program, "") and (program not in LOGINS or "login" in text):
        if end - begin > 2:
            yield from _value(text, begin + 2, end)
        elif following:
            yield from _value(text, *following)
    letters, separator = USER_AND_SECRET.get(program, ("", ""))
    at = begin + 1
    while program == "curl" and at < end and text[at] in CURL_FLAGS:
        at += 1
    if at < end and text[at] in letters:
        first, last = (at + 1, end) if at + 1 < end else following or (0, 0)
        yield from _after(text, separator, first, last)


def _after(text: str, separator: str, first: int, last: int) -> Spans:
    at = text.find(separator, first, last)
    if at >= 0:
        yield from _value(text, at + 1, last)
