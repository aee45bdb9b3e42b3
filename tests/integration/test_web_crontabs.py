"""Crontabs on the page: edited, wrapped, tried and undone, to the octet; what was changed meanwhile stays."""

import html
import json
import os
import pwd
import re
import socket
import subprocess
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cronwrap.crontab import places, states, store
from cronwrap.crontab.places import Place
from cronwrap.crontab.store import user_name
from cronwrap.web.deeds.base import Refused, surroundings
from cronwrap.web.deeds.perform import perform
from cronwrap.web.visitor import Peer
from support.cli import CRONWRAP
from support.crontab_program import put_crontab_program
from support.web import Page

PLAIN = (
    b"# Gr\xc3\xbc\xc3\x9fe, \xe9\nMAILTO=a@b.example\n\n"
    b"0 3 * * *\ttool\r\n@daily a | b\n61 * * * * c\n0 4 * * * end"
)
ME = f"user:{user_name()}"


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Somebody's own crontab, kept by a crontab program."""
    directory = tmp_path / "bin"
    table = tmp_path / "spool"
    put_crontab_program(directory, table)
    (directory / "cronwrap").symlink_to(CRONWRAP)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    monkeypatch.setenv("CRONWRAP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(places, "SYSTEM_PATHS", (str(tmp_path / "none"), f"{tmp_path}/nothing/"))
    table.write_bytes(PLAIN)
    return table


@pytest.fixture
def page():
    return Page()


def hidden(answer, name):
    return html.unescape(re.search(rf'name="{name}" value="([^"]*)"', answer.text)[1])


def field(answer):
    """Give what a browser has in the crontab's field, and sends: line ends as HTML has them."""
    text = re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", answer.text, re.DOTALL)[1]
    return html.unescape(text).replace("\n", "\r\n")


def edited(page, change, address=f"/crontab/{ME}"):
    """Edit a crontab as a person does; give the page of the difference."""
    form = page.get(f"{address}/edit")
    assert form.status == 200
    posted = {"form": change(field(form)), "etag": hidden(form, "etag")}
    return page.post(f"{address}/difference", posted)


def saved(page, difference, address=f"/crontab/{ME}"):
    fields = {name: hidden(difference, name) for name in ("etag", "text", "what")}
    return page.post(f"{address}/save", fields)


def audit(tmp_path):
    with open(tmp_path / "state" / "audit.log", encoding="ascii") as file:
        return [json.loads(line) for line in file]


def test_an_edit_is_shown_then_saved_and_nothing_else_is_touched(page, table, tmp_path):
    difference = edited(page, lambda text: text.replace("61 * * * * c", "6 * * * * c"))
    assert difference.status == 200
    assert table.read_bytes() == PLAIN
    assert '<span class="vh"> removed</span></span> <code>61 * * * * c</code>' in difference.text
    assert saved(page, difference).location.startswith(f"/crontab/{ME}?said=Saved&")
    after = PLAIN.replace(b"61 *", b"6 *")
    assert table.read_bytes() == after
    (line,) = audit(tmp_path)
    assert (line["who"], line["user"], line["what"]) == (user_name(), user_name(), "crontabs.save")
    assert line["outcome"] == "done"
    assert [line[when]["text"].encode("utf-8", "surrogateescape") for when in ("before", "after")] == [
        PLAIN,
        after,
    ]


def test_a_person_with_one_crontab_is_led_to_it(page, table):
    assert page.get("/crontab").location == f"/crontab/{ME}"
    table.unlink()
    assert "There is nothing in it yet" in page.get(f"/crontab/{ME}").text


def test_each_line_has_what_there_is_to_say_of_it(page, table):
    table.write_bytes(PLAIN + b"\n*/5 8-18 * * 1-5 cronwrap --name rates -- true\n")
    answer = page.get(f"/crontab/{ME}").text
    assert "Every 5 minutes from 08:00 to 18:59, Monday to Friday" in answer
    assert "minute 61 is out of range" in answer
    assert "the line ends in CR LF" in answer
    assert '✓ wrapped as <a href="/jobs/' in answer
    assert "Grüße, \\xe9" in answer
    assert len(re.findall(r'<span class="next">next: <time', answer)) == 4


def test_what_a_crontab_says_is_text(page, table):
    table.write_bytes(
        b"# <script>alert(1)</script> \xe2\x80\xaeevil \x1b[31m\n"
        b"0 3 * * * </textarea><img src=x onerror=y> \"'>\n@<em> x\n" + b"#" + b"x" * 300_000 + b"\n"
    )
    for answer in (
        page.get(f"/crontab/{ME}"),
        page.get(f"/crontab/{ME}/edit"),
        edited(page, lambda text: text[9:]),
    ):
        assert answer.status == 200
        assert not re.search("<script>|<img|<em>|\u202e|\x1b", answer.text)
    assert len(page.get(f"/crontab/{ME}").body) < 50_000


def test_what_was_changed_meanwhile_is_shown_and_never_overwritten(page, table):
    form = page.get(f"/crontab/{ME}/edit")
    mine = {"form": field(form).replace("tool", "mine"), "etag": hidden(form, "etag")}
    difference = page.post(f"/crontab/{ME}/difference", mine)
    table.write_bytes(PLAIN.replace(b"a | b", b"theirs"))  # crontab -e
    late = saved(page, difference)
    assert late.status == 412
    assert "changed meanwhile" in late.text
    again = page.post(f"/crontab/{ME}/difference", mine)
    assert again.status == 409
    assert '<span class="vh"> added</span></span> <code>@daily theirs</code>' in again.text
    assert "mine" in field(again)
    assert table.read_bytes() == PLAIN.replace(b"a | b", b"theirs")
    # The text goes on against the crontab as it is: the difference says what would become of theirs.
    both = {"form": field(again).replace("a | b", "theirs"), "etag": hidden(again, "etag")}
    assert saved(page, page.post(f"/crontab/{ME}/difference", both)).status == 303
    assert table.read_bytes() == PLAIN.replace(b"a | b", b"theirs").replace(b"tool", b"mine")


def test_a_change_within_the_last_moment_is_not_overwritten_either(table, monkeypatch):
    etag = perform("crontabs.read", {"id": ME}, "me")["etag"]
    read = store.Own.read

    def changed(self):
        octets = read(self)
        table.write_bytes(b"# theirs\n")
        return octets

    monkeypatch.setattr(store.Own, "read", changed)
    with pytest.raises(Refused) as refused:
        perform("crontabs.save", {"id": ME, "etag": etag, "text": b64encode(b"# mine\n").decode()}, "me")
    assert refused.value.status == 412
    assert table.read_bytes() == b"# theirs\n"


def test_of_two_who_save_at_once_one_is_told_to_look_again(table):
    etag = perform("crontabs.read", {"id": ME}, "me")["etag"]
    texts = [b64encode(b"# %d\n" % number).decode() for number in range(4)]

    def save(text):
        try:
            return perform("crontabs.save", {"id": ME, "etag": etag, "text": text}, "me")["same"]
        except Refused as refused:
            return refused.status

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(save, texts))
    assert sorted(done) == [False, 412, 412, 412]
    assert b64encode(table.read_bytes()).decode() == texts[done.index(False)]


def test_what_crontab_e_left_can_be_brought_back_byte_for_byte(page, table, tmp_path):
    saved(page, edited(page, lambda text: text.replace("tool", "one")))
    outside = b"# by crontab -e\n0 5 * * * \xff\r\n"
    table.write_bytes(outside)
    saved(page, edited(page, lambda _text: ""))
    assert table.read_bytes() == b""
    listed = page.get(f"/crontab/{ME}/states").text
    words = [html.unescape(found).strip() for found in re.findall(r'/states/[^"]+">([^<]*)<', listed)]
    me = user_name()
    assert words == [f"saved by {me}", "changed outside of this page", f"saved by {me}", "first seen"]
    links = re.findall(r'href="(/crontab/[^"]*/states/[^"]+)"', listed)
    for link, octets in ((links[1], outside), (links[3], PLAIN)):
        one = page.get(link)
        assert "Bringing it back would change" in one.text
        fields = {name: hidden(one, name) for name in ("etag", "state")}
        assert page.post(f"/crontab/{ME}/restore", fields).status == 303
        assert table.read_bytes() == octets
    assert [line["what"] for line in audit(tmp_path)][-1] == "crontabs.restore"
    assert page.get(f"/crontab/{ME}/states/1").status == 404


def test_what_crontab_refuses_is_said_and_kept_as_it_was(page, table):
    answer = saved(page, edited(page, lambda text: text + "refused\r\n"))
    assert answer.status == 422
    assert "bad command" in answer.text
    assert table.read_bytes() == PLAIN


def test_an_error_that_an_edit_brings_is_said_before_it_is_saved(page, table):
    table.write_bytes(b"0 1 * * * true\n")
    answer = edited(page, lambda text: text + "0 25 * * * true\r\n")
    assert "line 2: hour 25 is out of range" in answer.text
    assert "Save it all the same" in answer.text


def test_without_room_for_earlier_states_nothing_is_changed(page, table, monkeypatch):
    def full(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(states.os, "fsync", full)
    assert "nothing can be changed here" in page.get(f"/crontab/{ME}").text
    answer = saved(page, edited(page, lambda text: text + "# more\r\n"))
    assert answer.status == 503
    assert "No space left on device" in answer.text
    assert table.read_bytes() == PLAIN


def test_chosen_lines_alone_are_wrapped_and_unwrapped_again(page, table):
    view = page.get(f"/crontab/{ME}")
    fields = [("etag", hidden(view, "etag")), ("line", "4"), ("line", "5"), ("do", "wrap")]
    assert saved(page, page.post(f"/crontab/{ME}/wrap", fields)).status == 303
    lines = table.read_bytes().split(b"\n")
    assert lines[4] == b"@daily %s -c 'a | b'" % re.search(rb"@daily (\S+)", lines[4])[1]
    assert lines[5:] == PLAIN.split(b"\n")[5:]
    view = page.get(f"/crontab/{ME}")
    fields = [("etag", hidden(view, "etag")), ("line", "4"), ("line", "5"), ("do", "unwrap")]
    assert saved(page, page.post(f"/crontab/{ME}/wrap", fields)).status == 303
    assert table.read_bytes() == PLAIN
    table.write_bytes(b"# other\n")
    assert page.post(f"/crontab/{ME}/wrap", fields).status == 409


def test_line_ends_are_made_plain_when_that_is_asked_for(page, table):
    form = page.get(f"/crontab/{ME}/edit")
    assert "some end in CR LF" in form.text
    posted = {"form": field(form), "etag": hidden(form, "etag"), "plain_ends": "1"}
    saved(page, page.post(f"/crontab/{ME}/difference", posted))
    assert table.read_bytes() == PLAIN.replace(b"\r\n", b"\n")


def test_a_job_is_added_by_a_form_and_goes_to_the_end(page, table):
    form = {"when": "weekly", "days": "1", "time-weekly": "8:30", "wrapped": "yes", "name": "b s"}
    form |= {"command": "date +%F | cat", "timeout": "2h"}
    looked = page.post(f"/crontab/{ME}/add", {**form, "do": "look"})
    assert "Mondays at 08:30" in looked.text
    assert len(re.findall("<time ", looked.text)) == 5
    saved(page, page.post(f"/crontab/{ME}/add", {**form, "do": "next"}))
    last = table.read_bytes()[len(PLAIN) :]
    assert re.fullmatch(rb"\n30 8 \* \* 1 \S+ --name 'b s' --timeout 2h -c 'date \+\\%F \| cat'\n", last)
    assert table.read_bytes().startswith(PLAIN)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"command": ""}, "write the command"),
        ({"command": "a\nb"}, "one line"),
        ({"when": "daily", "time-daily": "25:00"}, "written as 08:30"),
        ({"when": "weekly", "time-weekly": "8:00"}, "at least one day"),
        ({"when": "fields", "minute": "61"}, "out of range"),
        ({"when": "fields", "minute": "1 2"}, "no blanks"),
        ({"when": "written", "schedule": "* * * *"}, "five fields, this has 4"),
        ({"when": "never"}, "no such way"),
        ({"timeout": "soon"}, "not a duration"),
        ({"options": "-- x"}, "options alone"),
        ({"options": "'"}, "a quote is not closed"),
        ({"command": "cronwrap -- x", "name": "y"}, "calls cronwrap already"),
        ({"command": "\udcff"}, "not text"),
    ],
)
@pytest.mark.usefixtures("table")
def test_what_is_wrong_with_the_form_is_said_beside_the_field(page, wrong, words):
    form = {"when": "fields", "minute": "5", "wrapped": "yes", "command": "true", **wrong}
    pairs = [(name, value.encode("utf-8", "surrogateescape")) for name, value in form.items()]
    answer = page.post(f"/crontab/{ME}/add", [*pairs, ("do", "next")])
    assert answer.status == 422
    assert words in html.unescape(answer.text)


def test_a_command_is_tried_as_cron_would_run_it_before_it_is_saved(page, table, tmp_path):
    table.write_text(
        f"CRONWRAP_STATE_DIR={tmp_path}/state\nCRONWRAP_MAILTO=\nPATH={os.environ['PATH']}\nWHAT=us\n"
    )
    before = table.read_bytes()
    form = {"when": "start", "wrapped": "yes", "command": 'echo "of $WHAT"; pwd; cat; exit 3', "do": "try"}
    answer = page.post(f"/crontab/{ME}/add", form)
    assert "The command failed: exit 3" in answer.text
    assert "of us\n" in html.unescape(answer.text)
    assert re.search('<a href="/runs/[^"]+">The run, by hand', answer.text)
    assert table.read_bytes() == before
    assert re.match(r"@reboot \S*cronwrap -c", audit(tmp_path)[-1]["after"]["line"])


def test_a_trial_that_takes_long_goes_on_and_can_be_watched(page, table, tmp_path, monkeypatch, wait_until):
    monkeypatch.setattr("cronwrap.web.deeds.new_job.TRIAL", 0.5)
    table.write_text(f"CRONWRAP_STATE_DIR={tmp_path}/state\nCRONWRAP_MAILTO=\nPATH={os.environ['PATH']}\n")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    command = f"echo begun; read x <{gate}; echo $x >{tmp_path}/out"
    answer = page.post(
        f"/crontab/{ME}/add", {"when": "start", "wrapped": "yes", "command": command, "do": "try"}
    )
    assert "It was started, and still runs" in answer.text
    assert "Watch it, or stop it" in answer.text
    gate.write_text("opened\n")
    wait_until(lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_text() == "opened\n")


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("name", [ME, "system", "cron.d:x", "user:=00", "x", "user:" + "=41" * 999])
def test_the_crontabs_of_others_are_not_there(name):
    page = Page(peer=Peer(uid=pwd.getpwnam("daemon").pw_uid, unix=True))
    for rest in ("", "/edit", "/states", "/states/1", "/add", "/difference", "/save", "/restore", "/wrap"):
        answers = page.get(f"/crontab/{name}{rest}"), page.post(f"/crontab/{name}{rest}", {"etag": "x"})
        for answer in answers:
            assert answer.status in (403, 404, 405)
            assert "MAILTO" not in answer.text


def test_a_read_only_page_shows_and_changes_nothing(table):
    page = Page(read_only=True)
    assert page.get(f"/crontab/{ME}").status == 200
    assert "<button" not in page.get(f"/crontab/{ME}").text
    for path in ("difference", "save", "wrap", "restore", "add"):
        assert page.post(f"/crontab/{ME}/{path}", {"text": "", "form": ""}).status == 403
    assert table.read_bytes() == PLAIN


@pytest.mark.usefixtures("table")
def test_the_systems_crontabs_are_changed_in_place_by_root(needs, page, tmp_path, monkeypatch):
    needs("root")
    file = tmp_path / "cron.d" / "backup"
    file.parent.mkdir()
    file.write_bytes(b"0 3 * * *\troot\ttool\n")
    monkeypatch.setattr(places, "SYSTEM_PATHS", (str(tmp_path / "none"), f"{file.parent}/"))
    listed = page.get("/crontab")
    assert re.findall('href="/crontab/([^"]+)"', listed.text) == [ME, "cron.d:backup"]
    address = "/crontab/cron.d:backup"
    assert saved(page, edited(page, lambda text: text.replace("0 3", "0 4"), address), address).status == 303
    assert file.read_bytes() == b"0 4 * * *\troot\ttool\n"
    form = {"when": "start", "command": "x", "do": "next"}
    assert "say who it is to run as" in page.post(f"{address}/add", form).text
    assert "there is no user nobody-such" in page.post(f"{address}/add", {**form, "user": "nobody-such"}).text
    saved(page, page.post(f"{address}/add", {**form, "user": user_name()}), address)
    assert file.read_bytes().endswith(b"@reboot %s x\n" % user_name().encode())
    file.unlink()
    assert page.get(address).status == 404


lines = st.lists(
    st.one_of(
        st.sampled_from(
            [b"0 3 * * *\ttool", b"", b"# x", b"@daily date +\\%F%a%b", b"*/5 * * * * cronwrap -- a"]
        ),
        st.binary(max_size=12).map(lambda octets: octets.replace(b"\n", b"")),
        st.text(max_size=8).map(lambda text: text.replace("\n", "").encode("utf-8", "ignore")),
        st.text(max_size=8).map(
            lambda text: text.replace("\n", "").encode("utf-16-le", "ignore").replace(b"\n", b"")
        ),
    ),
    max_size=8,
)
crontabs = st.tuples(lines, st.sampled_from([b"\n", b"\r\n"]), st.booleans()).map(
    lambda parts: parts[1].join(parts[0]) + (parts[1] if parts[2] else b"")
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(original=crontabs, data=st.data())
def test_any_crontab_edited_and_undone_comes_back_to_the_octet(page, tmp_path, monkeypatch, original, data):
    file = tmp_path / "table"
    monkeypatch.setenv("CRONWRAP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(Place, "store", lambda _self: store.File(str(file)))
    monkeypatch.setattr(places, "SYSTEM_PATHS", (str(tmp_path / "none"), f"{tmp_path}/nothing/"))
    file.write_bytes(original)
    first = page.get(f"/crontab/{ME}/edit")
    untouched = {"form": field(first), "etag": hidden(first, "etag")}
    assert "Nothing would change" in page.post(f"/crontab/{ME}/difference", untouched).text

    def change(text):
        some = text.split("\r\n")
        at = data.draw(st.integers(0, len(some)))
        some[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.lists(st.just("9 9 * * * new"), max_size=2)
        )
        return "\r\n".join(some)

    difference = edited(page, change)
    if "Nothing would change" in difference.text:
        return
    assert saved(page, difference).status == 303
    assert file.read_bytes() != original
    listed = page.get(f"/crontab/{ME}/states").text
    before = re.findall(r'href="(/crontab/[^"]*/states/[^"]+)"', listed)[1]
    one = page.get(before)
    fields = {name: hidden(one, name) for name in ("etag", "state")}
    assert page.post(f"/crontab/{ME}/restore", fields).status == 303
    assert file.read_bytes() == original


def over(path, method, address, body=b""):
    """Ask the page's server over its socket; give status and body."""
    kind = b"Content-Type: application/x-www-form-urlencoded\r\n" if body else b""
    head = f"{method} {address} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Length: {len(body)}\r\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(path)
        connection.sendall(head.encode() + kind + b"\r\n" + body)
        answer = b""
        while octets := connection.recv(65_536):
            answer += octets
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def test_a_crontab_is_edited_over_the_socket_of_a_real_server(cli, table):
    path = os.path.join(cli.directory, "web.sock")
    process = cli.start("web", "--socket", path, stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]})
    assert process.stdout.readline()
    try:
        status, text = over(path, "GET", f"/crontab/{ME}/edit")
        assert status == 200
        token, etag = (re.search(rf'name="{name}" value="([^"]*)"', text)[1] for name in ("token", "etag"))
        form = html.unescape(re.search(r"<textarea[^>]*>\n(.*?)</textarea>", text, re.DOTALL)[1])
        fields = {"token": token, "etag": etag, "form": form.replace("\n", "\r\n") + "\r\n# é\r\n"}
        status, text = over(path, "POST", f"/crontab/{ME}/difference", urlencode(fields).encode())
        assert status == 200
        fields = {
            name: html.unescape(re.search(rf'name="{name}" value="([^"]*)"', text)[1])
            for name in ("etag", "text")
        }
        assert over(path, "POST", f"/crontab/{ME}/save", urlencode(fields).encode())[0] == 403  # no token
        status, _ = over(path, "POST", f"/crontab/{ME}/save", urlencode({**fields, "token": token}).encode())
        assert status == 303
    finally:
        process.terminate()
        process.wait(20)
    assert table.read_bytes() == PLAIN + b"\n# \xc3\xa9\n"


def test_a_deed_knows_the_crontabs_of_its_own_user_alone():
    around = surroundings("anyone")
    assert around.user == user_name()
    with pytest.raises(Refused, match="no such crontab"):
        perform("crontabs.read", {"id": "user:daemon"}, "anyone")
