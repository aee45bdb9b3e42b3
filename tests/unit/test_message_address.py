"""Claims about recipients and senders as people write them."""

import email
import email.policy

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cronwrap.address import fallback
from cronwrap.report import mime
from cronwrap.report.compose import addresses

HOST = "web1.example.com"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" , ,", []),
        ("a@b.example", [("", "a@b.example")]),
        ("root", [("", "root@web1.example.com")]),
        ("root, a@b.example", [("", "root@web1.example.com"), ("", "a@b.example")]),
        ("Ops Team <ops@b.example>", [("Ops Team", "ops@b.example")]),
        ('"Doe, Jo" <jo@b.example>,x@y', [("Doe, Jo", "jo@b.example"), ("", "x@y")]),
        ('"a \\"b\\" c" <r@h>', [('a "b" c', "r@h")]),
        ('"Doe, Jo" (the other, one) <jo@b.example>', [("Doe, Jo", "jo@b.example")]),
        ("root (Charlie (Root))", [("Charlie (Root)", "root@web1.example.com")]),
        ("Jörg Müller <j@b.example>", [("Jörg Müller", "j@b.example")]),
        ("j@müller.example", [("", "j@xn--mller-kva.example")]),
        ("<a@b.example>", [("", "a@b.example")]),
        ('"john doe"@b.example', [("", '"john doe"@b.example')]),
        ('"a@b,c"@b.example', [("", '"a@b,c"@b.example')]),
        ('"a@b.example", "c@d.example"', [("", "a@b.example"), ("", "c@d.example")]),
        ('"john doe"', [("", '"john doe"@web1.example.com')]),
        ("a@[192.0.2.1]", [("", "a@[192.0.2.1]")]),
        ("a@[IPv6:2001:db8::1]", [("", "a@[IPv6:2001:db8::1]")]),
        ("a@b.example.", [("", "a@b.example")]),
        ("a+b=c@b.example", [("", "a+b=c@b.example")]),
    ],
)
def test_what_people_write_is_understood(text, found):
    assert [(address.name, address.spec) for address in addresses(text, HOST)] == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a@b\r\nBcc: c@d", "line break"),
        ("a@b\0", "NUL"),
        ("a b@c.example", "a space stands before the @"),
        ("a@b c@d", "another @"),
        ("a@b;c@d", "use commas"),
        ("a@b@c", "another @"),
        ("a@", "no domain"),
        ("@b", "nothing stands before the @"),
        ("<>", "nothing stands before the @"),
        ("a..b@c.example", "a dot"),
        (".a@c.example", "a dot"),
        ("a@b..c", "no domain"),
        ("a@b_!", "'!'"),
        ("a@-" + "x" * 64, "no domain"),
        ("a@" + "x.ab" * 70, "no domain"),
        ("x" * 65 + "@b", "more than 64"),
        ("jörg@b.example", "SMTPUTF8"),
        ("a@" + "\u00fc" * 70, "IDNA"),
        ("Name <a@b", "write Name <local@domain>"),
        ("a@b>", "write Name <local@domain>"),
        ("<a@b> x", "write Name <local@domain>"),
        ('"open <a@b>', "lacks its closing"),
        ("(open a@b", "lacks its closing"),
        ('"a"b@c', "quotes"),
        ('"a\x1bb"@c', "quotes"),
        ("a@[evil> x]", "write Name"),
        ("friends: a@b, c@d;", "':'"),
        ("a@b\u2028c", "domain"),
    ],
)
def test_what_is_no_address_is_refused_with_its_reason(text, reason):
    with pytest.raises(ValueError) as caught:
        addresses(text, HOST)
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


SIGNS = st.text(alphabet=st.sampled_from('ab.@<>",()\\ ;:[]é\r\n\t\0-')) | st.text(alphabet=st.characters())


@given(SIGNS, SIGNS)
@example('"\\"@b', "h")
@example('"a\\', "h")
@example("()", "h")
@example("a(b)@c", "h")
def test_nothing_that_is_accepted_can_be_more_than_the_addresses_it_is(text, host):
    try:
        found = addresses(text, host)
    except ValueError as error:
        found = ()
        said = str(error)
        said.encode()
        assert len(said.splitlines()) == 1
    for address in found:
        assert address.spec.isascii()
        assert address.spec.isprintable()
        assert len(address.spec) <= 64 + 1 + 255
    if found:
        field = mime.address_field("To", [(address.name, address.spec) for address in found])
        message = email.message_from_bytes(field + b"\r\n", policy=email.policy.default)
        assert message.keys() == ["To"]
        specs = [address.addr_spec for address in message["To"].addresses]
        assert len(specs) == len(found)
        plain = [address.spec for address in found if '"' not in address.spec]
        assert not set(plain) - set(specs)


@given(st.text(alphabet=st.characters()), st.text(alphabet=st.characters()))
@example("", "")
@example("1000", "(none)")
@example("a b", "x..y")
@example("root", "." * 300)
@example("ü", "-" * 300)
def test_the_fallback_is_an_address_whatever_user_and_host_are(user, host):
    spec = fallback(user, host)
    local, _at, domain = spec.rpartition("@")
    assert local.isascii()
    assert local.isprintable()
    assert not set(local) & set(' <>()",;:@[]\\')
    assert domain
    assert all(label for label in domain.split("."))
