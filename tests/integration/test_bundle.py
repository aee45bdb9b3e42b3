"""The modules of a quiet run loaded as one: used when it is right to, and never noticed otherwise."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.util import cache_from_source

import pytest

import cronwrap
from cronwrap import bundle_writer
from support.cli import write_private

SOURCES = os.path.dirname(cronwrap.__file__)
MODULES = {f"cronwrap.{name}" for name in bundle_writer.MODULES}
SAYS = "echo said; echo told >&2; exit 7"
RUN = """
import json, os, sys
sys.path.insert(0, LIB)
sys.argv[1:] = WORDS
import cronwrap

class Asked:
    names = []
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        cls.names.append(name)

sys.meta_path.insert(0, Asked)
cronwrap.load_bundle()
at_once = [name for name in sys.modules if name.startswith("cronwrap.")]
searched = [name for name in Asked.names if name.startswith("cronwrap.")]
import cronwrap.bundle_writer
cronwrap.bundle_writer.SETTLED = SETTLED
from cronwrap.__main__ import main
status = main()
in_all = [name for name in Asked.names if name.startswith("cronwrap.")]
EXTRA
print(json.dumps(
    {"status": status, "at_once": at_once, "searched": searched, "in_all": in_all, "extra": extra}
))
"""
LOOKS = """
import importlib, inspect, pickle
extra = {}
for name in LOOKED_AT:
    module = importlib.import_module(name)
    spec = module.__spec__
    extra[name] = [module.__name__, module.__file__, module.__cached__, module.__package__,
        list(getattr(module, "__path__", [])), type(module.__loader__).__name__,
        module.__loader__ is spec.loader,
        spec.name, spec.origin, spec.cached, spec.parent, spec.has_location, type(spec).__name__,
        spec.submodule_search_locations and list(spec.submodule_search_locations),
        module.__loader__.get_filename(), len(inspect.getsource(module)),
        getattr(sys.modules[spec.parent], name.rpartition(".")[2], module) is module]
from cronwrap.job.deadlines import Course
extra["pickle"] = pickle.loads(pickle.dumps(Course)) is Course
extra["source"] = inspect.getsource(Course)
"""
PROBE = """
import json, os, sys
sys.path.insert(0, LIB)
os.geteuid = lambda: USER
import cronwrap
cronwrap.load_bundle()
print(json.dumps([cronwrap.bundles_due.get("quiet-run", ""), "cronwrap.run" in sys.modules]))
"""


class Package:
    """A copy of the package, as if installed by itself."""

    def __init__(self, directory, env):
        self.lib = os.path.join(directory, "lib")
        self.root = os.path.join(self.lib, "cronwrap")
        self.env = env
        shutil.copytree(SOURCES, self.root, ignore=shutil.ignore_patterns("__pycache__"))

    @property
    def file(self):
        return os.path.join(self.root, "__pycache__", f"__init__.{sys.implementation.cache_tag}.quiet-run")

    def run(self, extra="extra = None", *, settled=0, words=("--", "true"), status=0, **env):
        text = RUN.replace("LIB", repr(self.lib)).replace("SETTLED = SETTLED", f"SETTLED = {settled}")
        text = text.replace("WORDS", repr(words))
        text = text.replace("EXTRA", extra.replace("LOOKED_AT", repr(sorted(MODULES))))
        process = subprocess.run(
            [sys.executable, "-c", text],
            env=self.env | env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not process.stderr or status
        answer = json.loads(process.stdout)
        assert answer["status"] == status
        return answer

    def loads_as_one(self, **env):
        return set(self.run(**env)["at_once"]) >= MODULES

    def probe(self, as_user):
        """Give where a user's run would write the file, and whether it loads from it; runs no job."""
        text = PROBE.replace("LIB", repr(self.lib)).replace("USER", str(as_user))
        words = [sys.executable, "-c", text]
        return json.loads(subprocess.run(words, env=self.env, capture_output=True, check=True).stdout)

    def change(self, name, before, after):
        """Put another version in place, as alike as can be: the same size and time of change."""
        path = os.path.join(self.root, name)
        times = os.stat(path).st_mtime_ns
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        assert before in text
        assert len(before) == len(after)
        with open(path + ".new", "w", encoding="utf-8") as stream:
            stream.write(text.replace(before, after))
        os.utime(path + ".new", ns=(times, times))
        os.rename(path + ".new", path)
        # Python itself would believe this one: it looks at the same two alone.
        os.unlink(cache_from_source(path))


@pytest.fixture
def package(tmp_path):
    state = tmp_path / "state"
    env = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "CRONWRAP_CONFIG": "",
        "CRONWRAP_STATE_DIR": str(state),
    }
    return Package(str(tmp_path), env)


@pytest.fixture
def bundled(package):
    assert not package.loads_as_one()
    assert os.path.exists(package.file)
    return package


def content_of(package):
    with open(package.file, "rb") as stream:
        return stream.read()


def first_of(package):
    """Give the first part of the file, which is loaded before the job is started."""
    content = content_of(package)
    head = len(cronwrap.bundle_head(*[0] * cronwrap.PARTS))
    length = int.from_bytes(content[len(cronwrap.HEADER) :][: cronwrap.SIZE_LENGTH], "little")
    return content[head : head + length]


def put(package, content):
    with open(package.file, "wb") as stream:
        stream.write(content)


def test_the_second_run_loads_just_the_modules_of_a_quiet_run_as_one_and_searches_for_none(bundled):
    answer = bundled.run("extra = [name for name in sys.modules if name.startswith('cronwrap.job.')]")
    assert set(answer["at_once"]) == MODULES
    assert answer["searched"] == []
    assert not {f"cronwrap.{name}" for name in bundle_writer.SPOKEN} & set(answer["extra"])
    assert answer["in_all"] == ["cronwrap.bundle_writer"]  # by this test itself


@pytest.mark.parametrize(
    "asked", [{"words": ("--timeout", "5m", "--", "true")}, {"MAILTO": "ops@example.test"}]
)
def test_a_run_with_options_searches_for_no_module_either(bundled, asked):
    assert "cronwrap.settings.options" in bundled.run(**asked)["in_all"]
    assert bundled.run(**asked)["in_all"] == ["cronwrap.bundle_writer"]


def test_a_run_that_fails_searches_for_no_module_either(bundled, tmp_path):
    config = write_private(str(tmp_path / "config.toml"), 'mailto = "ops@example.test"\n')
    asked = {"words": ("--", "sh", "-c", "echo spoke; exit 3"), "status": 3, "CRONWRAP_CONFIG": config}
    assert "cronwrap.pipeline.reporting" in bundled.run(**asked)["in_all"]
    bundled.run(**asked)
    assert bundled.run(**asked)["in_all"] == ["cronwrap.bundle_writer"]


@pytest.mark.parametrize("name", [name for name in bundle_writer.BUNDLES if name != cronwrap.QUIET_RUN])
def test_what_is_loaded_as_one_is_in_the_order_of_its_imports(bundled, name):
    text = f"before = len(Asked.names); cronwrap.load_bundle({name!r}); extra = Asked.names[before:]"
    bundled.run(f"cronwrap.bundle_writer.write(cronwrap.bundle_path({name!r}), {name!r})\nextra = None")
    needed = [one for one in bundled.run(text)["extra"] if one.startswith("cronwrap.")]
    assert needed == []


def test_the_options_are_imported_where_the_modules_of_a_quiet_run_were(bundled):
    bundled.run(words=("--timeout", "5m", "--", "true"))
    os.unlink(bundled.file)
    answer = bundled.run(words=("--timeout", "5m", "--", "true"), PYTHONPYCACHEPREFIX=bundled.lib)
    assert {"cronwrap.run", "cronwrap.settings.options"} <= set(answer["in_all"])


def test_modules_loaded_as_one_are_as_import_gives_them(package):
    apart = package.run(LOOKS)
    as_one = package.run(LOOKS)
    assert set(as_one["at_once"]) >= MODULES
    assert not MODULES & set(apart["at_once"])
    assert as_one["extra"] == apart["extra"]


def test_functions_loaded_as_one_tell_no_types_and_classes_do(bundled):
    look = "from cronwrap import model, spans\n"
    look += "extra = [spans.duration.__annotations__, {**model.Mark.__annotations__}]"
    assert bundled.run(look)["extra"] == [{}, {"offset": "int", "stream": "int", "elapsed": "float"}]


def test_what_cannot_be_loaded_once_the_job_runs_is_imported(bundled):
    first = first_of(bundled)
    put(bundled, cronwrap.bundle_head(len(first), 4, 4) + first + b"nonenone")
    answer = bundled.run(words=("--", "sh", "-c", "echo said; exit 7"), status=7)
    assert set(answer["at_once"]) == MODULES
    assert {"cronwrap.history.journal", "cronwrap.job.reader"} <= set(answer["in_all"])


def test_a_job_that_nothing_is_left_to_watch_has_its_status_and_its_output(bundled):
    first = first_of(bundled)
    put(bundled, cronwrap.bundle_head(len(first), 4, 4) + first + b"nonenone")
    program = (
        f"import sys; sys.path.insert(0, {bundled.lib!r}); sys.argv[1:] = ['--', 'sh', '-c', {SAYS!r}]\n"
        "import cronwrap; cronwrap.load_bundle()\n"
        "sys.modules['cronwrap.pipeline.conclusion'] = None\n"
        "from cronwrap.__main__ import leave, main; leave(main())"
    )
    for end, status in (("exit 7", 7), ("kill -9 $$", 137)):
        words = [sys.executable, "-c", program.replace("exit 7", end)]
        found = subprocess.run(words, env=bundled.env, capture_output=True, text=True, check=False)
        assert (found.returncode, found.stdout) == (status, "said\n")
        assert found.stderr.startswith("told\n")
        assert "internal error" in found.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_the_file_that_stays_open_is_none_of_the_standard_streams(bundled, closed):
    text = f"import sys; sys.path.insert(0, {bundled.lib!r}); import cronwrap, os\n"
    text += "cronwrap.load_bundle(); ((_, _, first), (_, _, second)) = cronwrap._for_later\n"
    text += "names = [os.readlink(f'/proc/self/fd/{number}') for number in range(3)]\n"
    text += "open(sys.argv[1], 'w').write(f'{first > 2} {first == second} {chr(32).join(names)}')"
    told = os.path.join(bundled.lib, "told")
    words = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", text, told]
    subprocess.run(words, env=bundled.env, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    with open(told, encoding="utf-8") as file:
        above, same, *names = file.read().split()
    assert (above, same) == ("True", "True")
    assert names.count("/dev/null") >= closed.count("&-")


def test_extension_modules_are_loaded_from_where_they_were_found(bundled):
    listed = [name for names in bundle_writer.EXTENSIONS[cronwrap.QUIET_RUN] for name in names]
    text = f"extra = [[n, sys.modules[n].__spec__.origin, sys.modules[n].__spec__.name] for n in {listed!r}]"
    apart = bundled.run(text, PYTHONPYCACHEPREFIX=bundled.lib)["extra"]
    assert bundled.run(text)["extra"] == apart


def test_an_extension_module_that_has_gone_is_looked_for(bundled):
    content = content_of(bundled)
    put(bundled, content.replace(b"_ctypes.", b"_gtypes."))
    answer = bundled.run("import _ctypes; extra = _ctypes.__name__")
    assert answer["extra"] == "_ctypes"


def test_a_reload_reads_the_source_anew(bundled):
    reload = (
        "import importlib, cronwrap.errors as errors; p = errors.__file__; t = open(p).read();"
        "open(p, 'w').write(t + 'ADDED = 1'); extra = importlib.reload(errors).ADDED"
    )
    assert bundled.run(reload)["extra"] == 1


def test_a_traceback_shows_the_line_where_the_package_lies_now(bundled):
    os.rename(bundled.lib, bundled.lib + "-moved")
    bundled.lib += "-moved"
    bundled.root = os.path.join(bundled.lib, "cronwrap")
    where = "import cronwrap.spans as t; extra = [t.__file__, t.duration.__code__.co_filename]"
    answer = bundled.run(where)
    assert set(answer["at_once"]) >= MODULES
    assert answer["extra"] == [os.path.join(bundled.root, "spans.py")] * 2


@pytest.mark.parametrize("name", ["exit_status.py", "lock.py"])
def test_another_version_of_the_same_size_and_time_is_what_runs(bundled, name):
    bundled.change(name, '"""', "'''")
    assert not bundled.loads_as_one()
    assert bundled.loads_as_one()  # written anew meanwhile


def test_a_source_that_has_gone_is_not_loaded_from_the_file(bundled):
    os.unlink(os.path.join(bundled.root, "redact", "known_secrets.py"))
    assert bundled.loads_as_one()  # no module of a quiet run
    os.rename(os.path.join(bundled.root, "job", "capture.py"), os.path.join(bundled.root, "job", "other.py"))
    assert bundled.probe(as_user=os.geteuid()) == [bundled.file, False]


@pytest.mark.parametrize("keep", [0, 1, 20, 24, 32, 40, 1000, -1])
def test_a_torn_file_is_written_anew(bundled, keep):
    put(bundled, content_of(bundled)[:keep])
    assert not bundled.loads_as_one()
    assert bundled.loads_as_one()


@pytest.mark.parametrize("at", [0, 10, 20, 23, 26])
def test_a_file_with_another_header_is_written_anew(bundled, at):
    content = bytearray(content_of(bundled))
    content[at] ^= 0x10
    put(bundled, bytes(content))
    assert not bundled.loads_as_one()
    assert bundled.loads_as_one()


def test_a_file_that_has_grown_is_written_anew(bundled):
    put(bundled, content_of(bundled) + b"x")
    assert not bundled.loads_as_one()
    assert bundled.loads_as_one()


def test_a_file_of_a_python_with_other_byte_code_is_written_anew(bundled):
    content = content_of(bundled)
    at = len(b"cronwrap modules 2 ")
    put(bundled, content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    assert not bundled.loads_as_one()
    assert bundled.loads_as_one()


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_may_write_is_not_believed(bundled, mode):
    os.chmod(bundled.file, mode)
    assert not bundled.loads_as_one()
    assert os.stat(bundled.file).st_mode & 0o777 == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a file of another user")
def test_a_file_of_another_user_is_not_believed(bundled):
    os.chown(bundled.file, 65534, 65534)
    assert not bundled.loads_as_one()
    assert os.stat(bundled.file).st_uid == 0


def test_a_link_or_a_pipe_in_its_place_is_not_followed(bundled):
    os.rename(bundled.file, bundled.file + ".elsewhere")
    os.symlink(bundled.file + ".elsewhere", bundled.file)
    assert not bundled.loads_as_one()
    os.unlink(bundled.file)
    os.mkfifo(bundled.file)
    assert not bundled.loads_as_one()
    assert bundled.loads_as_one()


def test_who_may_not_write_the_package_uses_the_file_and_never_writes_it(package):
    os.makedirs(os.path.dirname(package.file))
    os.chmod(os.path.dirname(package.file), 0o777)
    assert package.probe(as_user=os.geteuid()) == [package.file, False]
    assert package.probe(as_user=54321) == ["", False]
    package.run()
    assert package.probe(as_user=54321) == ["", True]


@pytest.mark.parametrize("variable", ["PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"])
def test_no_file_is_written_where_python_is_told_to_write_none_there(package, variable, tmp_path):
    for _ in range(2):
        assert not package.loads_as_one(**{variable: str(tmp_path / "cache")})
    assert not os.path.exists(package.file)


def test_it_joins_byte_code_that_an_installation_has_left_even_if_python_is_to_write_none(package):
    package.run()
    os.unlink(package.file)
    assert not package.loads_as_one(PYTHONDONTWRITEBYTECODE="1")
    assert package.loads_as_one(PYTHONDONTWRITEBYTECODE="1")


def test_a_cache_elsewhere_switches_it_off(bundled, tmp_path):
    assert not bundled.loads_as_one(PYTHONPYCACHEPREFIX=str(tmp_path / "cache"))


def test_a_source_that_may_change_within_its_time_stamp_is_not_kept(package):
    package.run(settled=3600)
    assert not os.path.exists(package.file)


def test_nothing_is_left_behind_by_a_disk_that_is_full(bundled):
    short = "os.unlink(FILE); os.write, kept = (lambda fd, content: kept(fd, content[:9])), os.write\n"
    text = f"{short}cronwrap.bundle_writer.write(FILE)\nos.write = kept\n"
    text += "extra = os.listdir(os.path.dirname(FILE))"
    left = bundled.run(text.replace("FILE", repr(bundled.file)))["extra"]
    assert [name for name in left if "quiet-run" in name] == []


def test_a_package_in_an_archive_runs_without(package, tmp_path):
    archive = str(tmp_path / "cronwrap.zip")
    with zipfile.ZipFile(archive, "w") as stream:
        for at, _, names in os.walk(package.root):
            for name in names:
                path = os.path.join(at, name)
                stream.write(path, os.path.relpath(path, package.lib))
    package.lib = archive
    for _ in range(2):
        assert not package.loads_as_one()
