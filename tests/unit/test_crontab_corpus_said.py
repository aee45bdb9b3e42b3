"""What wrap, lint and audit say of each crontab of tests/corpus; the right words stand beside it."""

import os

import pytest

from support.crontab_corpus import DIRECTORY, GIVEN, content, how, names, said


@pytest.mark.parametrize("name", names())
def test_a_crontab_is_understood_in_its_dialect(name):
    with open(os.path.join(DIRECTORY, f"{name}.said"), encoding="utf-8") as file:
        assert list(said(name)) == file.read().splitlines()


def test_no_expectation_is_left_without_its_crontab():
    wanted = {f"{name}.{kind}" for name in names() for kind in ("crontab", "said")}
    found = {
        os.path.relpath(os.path.join(at, one), DIRECTORY)
        for at, _, files in os.walk(DIRECTORY)
        for one in files
    }
    assert {one for one in found if one.endswith((".crontab", ".said"))} == wanted


def test_the_corpus_has_every_dialect():
    assert {name.split("/")[0] for name in names()} >= {
        "debian",
        "bsd",
        "supercronic",
        "anacron",
        "fcron",
        *GIVEN,
    }
    assert all(content(name).endswith(b"\n") for name in names())
    assert how("anacron/anacrontab")["dialect"].name == "anacron"
