"""The table of mail providers is consistent in itself, and found by address and by host."""

from typing import get_args

import pytest

from cronwrap.settings import relays as endpoint
from cronwrap.setup import providers


class TestTheTable:
    @pytest.mark.parametrize("provider", providers.PROVIDERS, ids=lambda provider: provider.name)
    def test_each_url_is_one_that_cronwrap_takes_and_is_encrypted(self, provider):
        for url in filter(None, (provider.url, provider.other_url)):
            found = endpoint.parse({"url": url}, provider.name)
            assert found.kind in ("smtps", "submission")
            assert (found.kind == "smtps") == (found.port == 465)

    @pytest.mark.parametrize("provider", providers.PROVIDERS, ids=lambda provider: provider.name)
    def test_each_kind_of_login_but_the_plain_password_is_explained(self, provider):
        assert provider.login in get_args(providers.Login)
        assert provider.catch or provider.login == "password"
        assert all(sentence.endswith(".") for sentence in provider.catch)

    def test_no_domain_stands_for_two(self):
        domains = [domain for provider in providers.PROVIDERS for domain in provider.domains]
        assert len(domains) == len(set(domains))
        assert all(domain == domain.lower() for domain in domains)


class TestLookUp:
    @pytest.mark.parametrize(
        ("address", "name"),
        [
            ("someone@gmail.com", "Gmail"),
            ("Some One <ONE@Outlook.COM>", "Outlook.com"),
            ("1@qq.com", "QQ Mail"),
            ("a@t-online.de", "T-Online"),
        ],
    )
    def test_by_address(self, address, name):
        assert providers.for_address(address).name == name

    @pytest.mark.parametrize("address", ["a@example.org", "gmail.com.example", "", "@", "a@notgmail.com"])
    def test_by_address_of_nobody_known(self, address):
        assert providers.for_address(address) is None

    @pytest.mark.parametrize(
        ("host", "name"),
        [
            ("smtp.office365.com", "Microsoft 365"),
            ("SMTP.gmail.com.", "Gmail"),
            ("email-smtp.eu-west-1.amazonaws.com", "Amazon SES"),
        ],
    )
    def test_by_host(self, host, name):
        assert providers.for_host(host).name == name

    def test_by_host_of_nobody_known(self):
        assert providers.for_host("mail.example.org") is None


class TestAnotherSender:
    @pytest.mark.parametrize(
        ("user", "sender"),
        [("me@gmail.com", "cron@example.test"), ("me@gmail.com", "you@gmail.com"), ("me", "root@host.test")],
    )
    def test_one_that_is_not_the_logins_is_known_to_be_refused_or_rewritten(self, user, sender):
        found = providers.other_sender("smtp.gmail.com", user, sender)
        assert found is not None
        assert found.name == "Gmail"

    @pytest.mark.parametrize(
        ("host", "user", "sender"),
        [
            ("smtp.gmail.com", "me@gmail.com", "Me@Gmail.com"),
            ("smtp.gmail.com", "me", "me@googlemail.com"),
            ("smtp.gmail.com", "me@example.test", "me@example.test"),
            ("smtp.gmail.com", "", "cron@example.test"),
            ("smtp.gmail.com", "me@gmail.com", ""),
            ("smtp.postmarkapp.com", "token", "cron@example.test"),
            ("mail.example.test", "me@example.test", "you@example.test"),
            ("", "", ""),
        ],
    )
    def test_nothing_is_said_against_the_logins_own_and_where_nothing_is_known(self, host, user, sender):
        assert providers.other_sender(host, user, sender) is None
