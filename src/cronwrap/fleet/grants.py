"""The statements that let a role into the fleet: printed for who may make roles, and never run by us."""

from __future__ import annotations

from collections.abc import Iterator

HOST_FUNCTIONS = (
    "ship(text, jsonb, jsonb, jsonb, jsonb, jsonb)",
    "housekeep(text)",
    "claim(text, text, text, double precision, text)",
    "lease(text, text, text, text, double precision, boolean)",
    "renew(text, text, text, text, bigint, double precision)",
    "release(text, text, text, text, bigint)",
    "peers(text)",
    "watch(text)",
    "told(text, jsonb)",
)
"""What a host's role may call: these alone, and no table."""
LONGEST = 63
"""Octets of an identifier (NAMEDATALEN - 1)."""


def host(name: str, role: str | None, database: str, user: str = "") -> Iterator[str]:
    """Give the statements for a host's role, or for that of one user on it."""
    role = role or role_of(f"{name}_{user}" if user else name)
    of = f"{one_line(user)} on " if user else ""
    yield f"-- The role of {of}the host {one_line(name)}. Set its password by \\password, and nowhere else."
    yield f"CREATE ROLE {identifier(role)} LOGIN;"
    yield f"GRANT CONNECT ON DATABASE {identifier(database)} TO {identifier(role)};"
    yield f"GRANT USAGE ON SCHEMA cronwrap TO {identifier(role)};"
    for function in HOST_FUNCTIONS:
        yield f"GRANT EXECUTE ON FUNCTION cronwrap.{function} TO {identifier(role)};"
    # Both are quoted.
    yield f"INSERT INTO cronwrap.hosts (host) VALUES ({literal(name)}) ON CONFLICT DO NOTHING;"  # noqa: S608
    values = ", ".join(map(literal, (role, name, user)))
    yield (
        f"INSERT INTO cronwrap.roles (role, host, user_name) VALUES ({values})"  # noqa: S608
        " ON CONFLICT (role, host) DO UPDATE SET user_name = excluded.user_name;"
    )


def viewer(role: str, database: str, owner: str) -> Iterator[str]:
    """Give the statements for a role that sees all and changes nothing."""
    yield "-- A role that sees the whole fleet and changes nothing. Set its password by \\password."
    yield f"CREATE ROLE {identifier(role)} LOGIN;"
    yield f"GRANT CONNECT ON DATABASE {identifier(database)} TO {identifier(role)};"
    yield f"GRANT USAGE ON SCHEMA cronwrap TO {identifier(role)};"
    yield f"GRANT SELECT ON ALL TABLES IN SCHEMA cronwrap TO {identifier(role)};"
    # What a later version of the schema adds is made by its owner, whoever runs this now.
    yield (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {identifier(owner)} IN SCHEMA cronwrap"
        f" GRANT SELECT ON TABLES TO {identifier(role)};"
    )


def role_of(name: str) -> str:
    """Give the role that a host has unless told otherwise: as people write names of roles."""
    plain = "".join(char if char.isascii() and char.isalnum() else "_" for char in name.lower())
    return f"cronwrap_{plain}"[:LONGEST]


def identifier(name: str) -> str:
    """Give a name as SQL has it (PostgreSQL, 4.1.1)."""
    return '"' + one_line(name).replace('"', '""') + '"'


def literal(text: str) -> str:
    """Give a text as SQL has it; standard_conforming_strings is on since PostgreSQL 9.1."""
    return "'" + one_line(text).replace("'", "''") + "'"


def one_line(text: str) -> str:
    """Give a text without what would end a line or a string of C."""
    return "".join(char if char.isprintable() else "?" for char in text)
