"""A report retried after its addresses were mended: what came from settings is asked for anew."""

from __future__ import annotations

import json

import pytest


def listed(cli):
    return [json.loads(line) for line in cli("outbox", "--json").stdout.splitlines()]


def mended(cli, relay, before, after, *options, **env):
    """Have a report given up with one configuration, and retry it with another; gives the result."""
    relay.refuse("RCPT", "550 5.1.1 No such user", matching="wrong")
    relay.refuse("MAIL", "553 5.7.1 Sender not owned by user", matching="wrong")
    cli.write_config(before + relay.table)
    cli(*options, "-n", "j", "--", "sh", "-c", "echo said; exit 3", **env)
    (item,) = listed(cli)
    assert item["state"] == "failed", item
    cli.write_config(after + relay.table)
    return cli("outbox", "retry", "--all")


@pytest.mark.parametrize(
    ("table", "env"),
    [("", {}), ("", {"MAILTO": "root"}), ("[jobs.j]\n", {})],
)
def test_a_retry_asks_the_settings_anew_for_recipients(cli, relay, table, env):
    before, after = (f'{table}mailto = "{word}@x.test"\n' for word in ("wrong", "right"))
    result = mended(cli, relay, before, after, **env)
    assert result.status == 0, result
    mail = relay.messages[-1]
    assert (mail.recipients, str(mail.parsed["To"])) == (("right@x.test",), "right@x.test")
    assert "said" in mail.body
    assert listed(cli) == []


def test_a_retry_asks_the_settings_anew_for_the_sender(cli, relay):
    before, after = (
        'mailto = "a@x.test"\nmailfrom = "wrong@x.test"\n',
        'mailto = "a@x.test"\nmailfrom = "me@x.test"\n',
    )
    assert mended(cli, relay, before, after).status == 0
    mail = relay.messages[-1]
    assert mail.sender == "me@x.test"
    assert "<me@x.test>" in mail.parsed["From"]


@pytest.mark.parametrize(("options", "env"), [((), {"MAILTO": "wrong@x.test"}), (("-t", "wrong@x.test"), {})])
def test_a_retry_keeps_the_recipients_of_a_crontab_or_a_flag(cli, relay, options, env):
    both = 'mailto = "other@x.test"\n'
    assert mended(cli, relay, both, both, *options, **env).status == 1
    (item,) = listed(cli)
    assert item["to"] == ["wrong@x.test"]


def test_who_has_got_it_does_not_get_it_again(cli, relay):
    before, after = 'mailto = "good@x.test, wrong@x.test"\n', 'mailto = "good@x.test, right@x.test"\n'
    assert mended(cli, relay, before, after).status == 0
    assert [mail.recipients for mail in relay.messages] == [("good@x.test",), ("right@x.test",)]


def test_a_report_that_all_have_now_is_gone_and_says_so(cli, relay):
    result = mended(cli, relay, 'mailto = "good@x.test, wrong@x.test"\n', 'mailto = "good@x.test"\n')
    assert result.status == 0
    assert "have got it" in result.stdout
    assert (len(relay.messages), listed(cli)) == (1, [])


def test_drop_all_empties_the_outbox_and_one_must_say_which_otherwise(cli):
    cli.write_config('mailto = "a@x.test"\n')
    for name in ("one", "two"):
        cli("-n", name, "--", "false")
    assert len(listed(cli)) == 2
    for verb in ("drop", "retry"):
        assert cli("outbox", verb).status == 2
        assert cli("outbox", verb, "--all", "x").status == 2
    assert cli("outbox", "drop", "--all").status == 0
    assert listed(cli) == []
    assert cli("outbox", "drop", "--all").stdout == "the outbox is empty\n"
