"""The TOML writer, held against the standard library's reader."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.settings import toml_write

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.one_of(TEXT, st.integers(-(2**63), 2**63 - 1), st.booleans())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=20,
)
TABLES = st.dictionaries(TEXT, VALUES, max_size=6)


def paths(table, path=()):
    """Give the path of every value that may have a comment."""
    for key, value in table.items():
        below = (*path, key)
        yield below
        if isinstance(value, dict):
            yield from paths(value, below)
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            for index, item in enumerate(value):
                yield (*below, index)
                yield from paths(item, (*below, index))


class TestWhatGoesInComesOut:
    @settings(max_examples=200)
    @given(TABLES)
    def test_for_any_table(self, table):
        assert tomllib.loads(toml_write.dumps(table)) == table

    @settings(max_examples=100)
    @given(TABLES, st.data())
    def test_with_any_comment_on_any_value(self, table, data):
        comments = {path: data.draw(TEXT) for path in paths(table)}
        text = toml_write.dumps(table, comments, header=data.draw(TEXT))
        assert tomllib.loads(text) == table


class TestTheForm:
    def test_is_that_of_a_file_written_by_hand(self):
        config = {
            "relay": [{"url": "smtps://h:465", "user": "u"}, {"url": "smtp://localhost"}],
            "mailto": "ops@example.com",
            "delivery": {"background": True, "inline": "30s"},
            "jobs": {"nightly": {"ok-codes": [0, 24]}, "a.b": {"after": 2}},
        }
        comments = {("mailto",): "who is told", ("relay", 1): "steps in\nwhen the first fails"}
        assert toml_write.dumps(config, comments, header="Made by hand.") == (
            "# Made by hand.\n\n"
            "# who is told\n"
            'mailto = "ops@example.com"\n\n'
            '[[relay]]\nurl = "smtps://h:465"\nuser = "u"\n\n'
            '# steps in\n# when the first fails\n[[relay]]\nurl = "smtp://localhost"\n\n'
            '[delivery]\nbackground = true\ninline = "30s"\n\n'
            "[jobs]\n\n[jobs.nightly]\nok-codes = [0, 24]\n\n"
            '[jobs."a.b"]\nafter = 2\n'
        )

    def test_nothing_is_nothing(self):
        assert toml_write.dumps({}) == ""

    def test_a_comment_cannot_break_out(self):
        assert tomllib.loads(toml_write.dumps({}, header="a\rb = 1\x00\nc = 2\x85d = 3")) == {}


class TestRefusal:
    @pytest.mark.parametrize("value", [1.5, None, b"x", object()])
    def test_of_what_has_no_form(self, value):
        with pytest.raises(TypeError):
            toml_write.dumps({"key": value})

    def test_of_a_key_that_is_no_text(self):
        with pytest.raises(TypeError):
            toml_write.dumps({1: "x"})

    @pytest.mark.parametrize("table", [{"key": "\udcff"}, {"\udcff": 1}])
    def test_of_undecodable_octets(self, table):
        with pytest.raises(ValueError, match="Unicode"):
            toml_write.dumps(table)
