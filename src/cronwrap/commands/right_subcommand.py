"""The right form of a subcommand's command line: what was typed, with what click does not take set right."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

import click

from cronwrap.settings.command_line import quote
from cronwrap.settings.options import BY_KEY


def _command(name: str) -> click.Command:
    command = import_module(f"cronwrap.commands.{name}").command
    assert isinstance(command, click.Command)  # noqa: S101  # what each of these modules defines
    return command


def known(name: str) -> set[str]:
    """Give the options of a subcommand, and of those below it."""
    command = _command(name)
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    return {"-h", "--help"} | {flag for one in commands for param in one.params for flag in _flags(param)}


def _flags(param: click.Parameter) -> list[str]:
    return [*param.opts, *param.secondary_opts] if isinstance(param, click.Option) else []


def name_of(words: Sequence[str]) -> str:
    """Give the name of a subcommand, and of what is below it where that is named: ``outbox retry``."""
    command = _command(words[0])
    below = [word for word in words[1:] if not word.startswith("-")][:1]
    return " ".join(words[:1] if not isinstance(command, click.Group) else (words[0], *below))


def form(words: Sequence[str]) -> str:
    """Give the right form, quoted, from the subcommand's name on."""
    name, *rest = words
    command, found = _command(name), [name]
    while isinstance(command, click.Group):
        options = [word for word in rest if word.startswith("-")]
        below = next((word for word in rest if not word.startswith("-")), None)
        if below is None:
            optional = command.invoke_without_command
            return " ".join(
                (*found, *_rest(command, rest)) if optional else (*found, "|".join(command.commands))
            )
        near = [below] if below in command.commands else get_close_matches(below.lower(), command.commands, 1)
        if not near:
            return " ".join((*found, "|".join(command.commands)))
        at = rest.index(below)
        rest = [*rest[:at], *rest[at + 1 :]] if options else rest[1:]
        command = command.commands[near[0]]
        found.append(near[0])
    return " ".join((*found, *_rest(command, rest)))


def _rest(command: click.Command, rest: list[str]) -> list[str]:  # noqa: C901  # one loop over the words
    by_flag = {flag: param for param in command.params for flag in _flags(param)}
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    found: list[str] = []
    operands: list[str] = []
    given, rest = list(rest), list(rest)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-") or word == "-":
            operands.append(word)
            continue
        if not word.startswith("--") and word[:2] in by_flag and word[2:]:
            name, equals, value = word[:2], "", word[2:]
            rest.insert(0, value)
        of_job = BY_KEY.get(name.removeprefix("--")) if name not in by_flag else None
        if of_job:  # it has no place here, nor has its value
            del rest[: bool(of_job.metavar and not equals)]
            continue
        near = [name] if name in by_flag else get_close_matches(name, [*by_flag, "--help"], 1)
        if not near:
            continue
        param = by_flag.get(near[0])
        if not isinstance(param, click.Option) or param.is_flag:
            found.append(near[0])
            continue
        if not equals:
            value = rest.pop(0) if rest else ""
        found += [near[0], _value(param, value)]
    wanted = len(arguments)
    many = any(argument.nargs < 0 for argument in arguments)
    if len(operands) > wanted and not many:
        if not wanted and "--job" in by_flag and "--job" not in found:
            found += ["--job", quote(operands[0])]
        operands = operands[:wanted]
    if arguments and not operands and found == given:
        operands, quoted = [], (arguments[0].metavar or arguments[0].name or "").strip("[]").upper()
        return [*found, quoted]
    missing = [argument for argument in arguments[len(operands) :] if argument.required]
    return [*found, *map(quote, operands), *((one.metavar or one.name or "").upper() for one in missing)]


def _value(param: click.Option, value: str) -> str:
    """Give an option's value, or what stands for one where it is none."""
    context = click.Context(click.Command("cronwrap"))
    shown = param.metavar or (param.opts[-1].lstrip("-").upper())
    try:
        taken = param.type.convert(value, param, context)
        if param.callback:
            param.callback(context, param, taken)
    except click.ClickException:
        near = get_close_matches(value, getattr(param.type, "choices", ()), 1)
        return near[0] if near else shown
    return quote(value) if value else shown
