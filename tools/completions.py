"""Shell completion, written out from the command line's own tables: ``python tools/completions.py``.

The files are static: a shell that had to start Python at each Tab would be felt. Behind ``--`` they hand
over to the completion of the job's own command.
"""

# ruff: noqa: INP001 -- a script beside the package, not a package

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from cronwrap.commands.cli import surface
from cronwrap.settings.options import FORMATS, OVERLAPS
from cronwrap.settings.values import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "completions")
FILES, DIRECTORIES, LIST = "files", "directories", "list"
BY_METAVAR = {"FILE": FILES, "[FILE]": FILES, "DIR": DIRECTORIES}
CHOICES = {"--on": EVENTS, "--overlap": OVERLAPS, "--format": FORMATS}

NOTICE = "Made by tools/completions.py; a change belongs there."


@dataclass(frozen=True)
class Flag:
    """An option of one command."""

    names: tuple[str, ...]
    help: str
    metavar: str
    """Empty when it takes no value."""
    repeatable: bool
    value: str
    """``files``, ``directories``, ``list``, the words to choose from, or empty where nothing is known."""


@dataclass(frozen=True)
class Node:
    """The command itself, or a subcommand."""

    path: tuple[str, ...]
    help: str
    flags: tuple[Flag, ...]
    children: tuple[Node, ...]
    takes_files: bool

    @property
    def words(self) -> str:
        """Give the names of its subcommands."""
        return " ".join(child.path[-1] for child in self.children)

    def all(self) -> Iterator[Node]:
        """Give it and all below it."""
        yield self
        for child in self.children:
            yield from child.all()


def node(command: click.Command, parent: click.Context | None = None, *path: str) -> Node:
    """Read a command of click, and its subcommands."""
    context = click.Context(command, parent, **({} if parent else command.context_settings))
    flags, takes_files = [], False
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option):
            flags.append(read_flag(parameter))
        else:
            takes_files |= BY_METAVAR.get(parameter.metavar or "") == FILES
    children = []
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                children.append(node(child, context, *path, name))
    help_text = one_line(command.get_short_help_str(limit=78))
    return Node(path, help_text, tuple(flags), tuple(children), takes_files)


def read_flag(option: click.Option) -> Flag:
    """Read an option of click."""
    takes_value = not option.is_flag and not option.count
    metavar = (option.metavar or "VALUE") if takes_value else ""
    value = BY_METAVAR.get(metavar, "")
    if isinstance(option.type, click.Choice):
        value = " ".join(map(str, option.type.choices))
    for name in option.opts:
        value = " ".join(CHOICES.get(name, ())) or value
    return Flag(
        names=(*option.opts, *option.secondary_opts),
        help=one_line(option.help or ""),
        metavar=metavar,
        repeatable=option.multiple,
        value=LIST if "--on" in option.opts else value,
    )


def one_line(text: str) -> str:
    """Give a help text without line breaks, final stop and default value."""
    return " ".join(text.split("  [", maxsplit=1)[0].split()).rstrip(".")


# bash -------------------------------------------------------------------------------------------

BASH = """\
# bash completion for cronwrap. {notice}

_cronwrap_node() {{
    flags= valued= words= files=
    case $path in
{cases}
    esac
}}

_cronwrap_job() {{
    # The job's own command, from word $1 on.
    if declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        mapfile -t COMPREPLY < <(compgen -c -- "${{COMP_WORDS[COMP_CWORD]}}")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "${{COMP_WORDS[COMP_CWORD]}}")
    fi
}}

_cronwrap() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}}
    local path='' flags valued words files word i
    COMPREPLY=()
    _cronwrap_node
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        if [[ $word == -- && ! $path ]]; then
            _cronwrap_job $((i + 1))
            return
        elif [[ $word == -* && " $valued " == *" $word "* ]]; then
            # readline makes words of their own of --flag=value's three parts
            [[ ${{COMP_WORDS[i + 1]-}} == = ]] && ((i++))
            ((i++))
        elif [[ $word != -* && " $words " == *" $word "* ]]; then
            path=${{path:+$path }}$word
            _cronwrap_node
        fi
    done
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    if [[ $prev == -* && " $valued " == *" $prev "* ]]; then
        case $prev in
{values}
        esac
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" ${{files:+-f}} -- "$cur")
    fi
}}

complete -F _cronwrap cronwrap
"""


def bash(root: Node) -> str:
    """Give the completion for bash."""
    cases: list[str] = []
    values: dict[str, str] = {}
    for each in root.all():
        names = [name for flag in each.flags for name in flag.names] + ([] if each.path else ["--"])
        valued = [name for flag in each.flags if flag.metavar for name in flag.names]
        cases += [f"        '{' '.join(each.path)}')", f"            flags='{' '.join(names)}'"]
        cases += [f"            valued='{' '.join(valued)}'"] if valued else []
        cases += [f"            words='{each.words}'"] if each.children else []
        cases += ["            files=1"] if each.takes_files else []
        cases.append("            ;;")
        values |= {name: _bash_value(flag) for flag in each.flags for name in flag.names if _bash_value(flag)}
    by_command: dict[str, list[str]] = {}
    for name, command in values.items():
        by_command.setdefault(command, []).append(name)
    lines = [
        f"            {' | '.join(names)})\n                {command}\n                ;;"
        for command, names in by_command.items()
    ]
    return BASH.format(notice=NOTICE, cases="\n".join(cases), values="\n".join(lines))


def _bash_value(flag: Flag) -> str:
    if not flag.metavar or not flag.value:
        return ""
    found = {
        FILES: "compgen -f",
        DIRECTORIES: "compgen -d",
        LIST: f'compgen -P "${{cur%"${{cur##*,}}"}}" -W \'{" ".join(EVENTS)}\'',
    }.get(flag.value, f"compgen -W '{flag.value}'")
    current = "${cur##*,}" if flag.value == LIST else "$cur"
    return f'mapfile -t COMPREPLY < <({found} -- "{current}")'


# zsh --------------------------------------------------------------------------------------------

ZSH = """\
#compdef cronwrap
# zsh completion for cronwrap. {notice}

{functions}
_cronwrap_job() {{
    # The job's own command, behind the first --.
    local -i dashes=${{words[(i)--]}}
    (( dashes < CURRENT )) || return 1
    words=("${{(@)words[dashes+1,-1]}}")
    (( CURRENT -= dashes ))
    _normal
    return 0
}}

_cronwrap "$@"
"""


def zsh(root: Node) -> str:
    """Give the completion for zsh."""
    functions = [_zsh_function(each) for each in reversed(list(root.all()))]
    return ZSH.format(notice=NOTICE, functions="\n".join(functions))


def _zsh_function(each: Node) -> str:
    name = "_".join(("_cronwrap", *each.path))
    specs = [_zsh_flag(flag) for flag in each.flags]
    lines = [f"{name}() {{", "    local curcontext=$curcontext state line"]
    if not each.path:
        lines += [
            f"    [[ ${{words[2]}} == ({each.words.replace(' ', '|')}) ]] || ! _cronwrap_job || return 0"
        ]
        specs.append("'--[the command follows]'")
    if not each.children:
        specs += ["'*:file:_files'"] if each.takes_files else []
        lines += ["    _arguments -s \\", *_continued(specs or ["'*: : '"]), "}", ""]
        return "\n".join(lines)
    described = [f"{_quoted(child.path[-1] + ':' + child.help)}" for child in each.children]
    lines += ["    local -a subcommands=(", *(f"        {word}" for word in described), "    )"]
    specs += ["'1: :->subcommand'", "'*:: :->rest'"]
    lines += ["    _arguments -C -s \\", *_continued(specs), "    case $state in"]
    lines += ["        subcommand) _describe -t commands subcommand subcommands ;;", "        rest)"]
    lines += [
        f"            case ${{line[1]}} in ({each.words.replace(' ', '|')}) {name}_${{line[1]}} ;; esac"
    ]
    return "\n".join([*lines, "            ;;", "    esac", "}", ""])


def _continued(specs: list[str]) -> list[str]:
    return [f"        {spec} \\" for spec in specs[:-1]] + [f"        {specs[-1]}"]


def _zsh_flag(flag: Flag) -> str:
    text = "".join(f"\\{char}" if char in "[]:\\" else char for char in flag.help)
    action = {
        "": " ",
        FILES: "_files",
        DIRECTORIES: "_files -/",
        LIST: f"_values -s , event {' '.join(EVENTS)}",
    }.get(flag.value, f"({flag.value})")
    value = f":{flag.metavar.strip('[]')}:{action}" if flag.metavar else ""
    if flag.repeatable:
        return " ".join(_quoted(f"*{name}[{text}]{value}") for name in flag.names)
    if len(flag.names) == 1:
        return _quoted(f"{flag.names[0]}[{text}]{value}")
    exclusive = f"({' '.join(flag.names)})"
    return " ".join(_quoted(f"{exclusive}{name}[{text}]{value}") for name in flag.names)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# fish -------------------------------------------------------------------------------------------

FISH = """\
# fish completion for cronwrap. {notice}

function __cronwrap_path --description 'The subcommand before the cursor, or -- behind the dashes'
    set -l path
    set -l skip
    for word in (commandline -opc)[2..]
        if set -q skip[1]
            set -e skip
        else if test "$word" = --; and not set -q path[1]
            echo -- --
            return
        else if contains -- $word {valued}
            set skip 1
        else if not string match -q -- '-*' $word
            switch "$path $word"
                case {paths}
                    set -a path $word
            end
        end
    end
    echo -- "$path"
end

function __cronwrap_at
    test (__cronwrap_path) = "$argv"
end

function __cronwrap_job --description "The job's own command, behind the dashes"
    set -l words (commandline -opc) (commandline -ct)
    set -l dashes (contains -i -- -- $words)
    complete -C (string join -- ' ' (string escape -- $words[(math $dashes + 1)..-2]) $words[-1])
end

complete -c cronwrap -f
complete -c cronwrap -n '__cronwrap_at --' -a '(__cronwrap_job)'
{lines}
"""


def fish(root: Node) -> str:
    """Give the completion for fish."""
    lines, paths, valued = [], [], []
    for each in root.all():
        at = f"complete -c cronwrap -n '__cronwrap_at \"{' '.join(each.path)}\"'"
        if each.takes_files:
            lines.append(f"{at} -F")
        for child in each.children:
            lines.append(f"{at} -a {child.path[-1]} -d {_fish_quoted(child.help)}")
            paths.append(f"'{' '.join(child.path[:-1])} {child.path[-1]}'")
        for flag in each.flags:
            valued += [name for name in flag.names if flag.metavar]
            lines.append(f"{at} {_fish_flag(flag)}")
    return FISH.format(
        notice=NOTICE,
        valued=" ".join(dict.fromkeys(valued)),
        paths=" ".join(paths),
        lines="\n".join(lines),
    )


def _fish_flag(flag: Flag) -> str:
    names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names)
    value = {
        FILES: " -r -F",
        DIRECTORIES: " -x -a '(__fish_complete_directories)'",
        LIST: f' -x -a "(__fish_append , {" ".join(EVENTS)})"',
    }.get(flag.value, f" -x -a '{flag.value}'" if flag.value else " -x")
    return f"{names}{value if flag.metavar else ''} -d {_fish_quoted(flag.help)}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def texts() -> dict[str, str]:
    """Give the files by name."""
    root = node(surface)
    return {"cronwrap.bash": bash(root), "_cronwrap": zsh(root), "cronwrap.fish": fish(root)}


def main(words: list[str]) -> int:
    """Write the files or, with ``--check``, say whether they are as they would be written."""
    status = 0
    for name, text in texts().items():
        path = os.path.join(PLACE, name)
        if words == ["--check"]:
            with open(path, encoding="utf-8") as file:
                if file.read() != text:
                    print(f"{name} is out of date: make completions")
                    status = 1
        else:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
