"""Build dist/cronwrap: one file that runs jobs, sends, and keeps their history, with nothing but python3.

It is a script for sh with a zip archive behind it. The first start unpacks the archive into the user's cache;
every later one goes straight on from there, with the modules of a quiet run as one. A link to it with the
name cronwrap-shell, sendmail, mailq or newaliases is that program.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import zipfile

import layout
import libraries
from layout import HERE, PROJECT

NEEDED = ("aiosmtplib", "click")
HEAD = """\
#!/bin/sh
# cronwrap {version}. Behind these lines is a zip archive (unzip -l lists it); the first start unpacks it.
for place in /var/cache "${{XDG_CACHE_HOME:-$HOME/.cache}}"; do
    tree=$place/cronwrap/{tree}
    if [ -O "$tree" ] && [ -x "$tree/python" ]; then
        case $0 in
            *-shell) exec "$tree/python" -IS "$tree/bin/cronwrap-shell" "$0" "$@" ;;
            *) exec "$tree/python" -IS "$tree/bin/cronwrap" "$0" "$@" ;;
        esac
    fi
done
exec python3 -IS "$0" "$@"
"""
RENEWED = """\
import time

# A cache may be cleared at any time, in part, too: then it is made anew, if that was not done just now.
if os.path.isdir(tree) and time.time() - os.stat(tree).st_mtime > 60:
    python = os.path.realpath(sys.executable)
    try:
        os.rename(tree, f"{tree}.old.{os.getpid()}")
        os.execv(python, [python, "-IS", *sys.argv])
    except OSError:
        pass
"""


def program(name: str) -> str:
    """Give one of scripts/ for the tree: it is called with the name of the file that was called."""
    text = layout.script(
        name,
        "tree = os.path.dirname(os.path.dirname(sys.argv.pop(0)))\nsys.path = [tree, *sys.path]\n",
    )
    text = text.replace('"""\nimport _signal\n', f'"""\n{RENEWED}\nimport _signal\n')
    # Loaded by each run anyway; here it shows in time whether all that a run needs is there.
    return text.replace(
        "\nexcept Exception as error:", "\n    import cronwrap.run\nexcept Exception as error:"
    )


def build(target: str) -> str:
    """Build the file; give its path."""
    facts = layout.package("amd64")
    with tempfile.TemporaryDirectory(prefix="cronwrap-single-") as place:
        root = os.path.join(place, "tree")
        libraries.install(root, "amd64")
        for entry in os.listdir(root):
            if not entry.lower().startswith(NEEDED):
                _remove(os.path.join(root, entry))
        libraries.strip_metadata(root)
        layout.copy_package(root)
        shutil.copyfile(f"{HERE}/single/psutil.py", f"{root}/psutil.py")
        os.mkdir(f"{root}/bin")
        for name in ("cronwrap", "cronwrap-shell"):
            _write(f"{root}/bin/{name}", program(name))
        shutil.copyfile(f"{PROJECT}/LICENSE", f"{root}/LICENSE")
        tree = f"{facts.version}-{layout.digest(root)[: layout.DIGEST_LENGTH]}"
        with open(f"{HERE}/single/__main__.py", encoding="utf-8") as file:
            _write(f"{root}/__main__.py", file.read().replace("@TREE@", tree))
        os.makedirs(target, exist_ok=True)
        made = os.path.join(target, "cronwrap")
        _write(f"{made}.new", HEAD.format(version=facts.version, tree=tree))
        # The earliest time that the format knows is in 1980.
        date = time.gmtime(max(facts.epoch, 315532800))[:6]
        with zipfile.ZipFile(f"{made}.new", "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in sorted(layout.files(root)):
                with open(path, "rb") as file:
                    entry = zipfile.ZipInfo(os.path.relpath(path, root), date)
                    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
                    archive.writestr(entry, file.read())
        os.chmod(f"{made}.new", 0o755)
        os.replace(f"{made}.new", made)
    return made


def _remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    print(os.path.relpath(build(sys.argv[1] if sys.argv[1:] else os.path.join(PROJECT, "dist"))))
