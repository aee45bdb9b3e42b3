"""Mail providers by the domain of an address: where to send, and what makes a first login fail.

Facts of the outside world, as the providers publish them; whoever has a domain of their own there gives
the relay's host instead. What could not be confirmed is left out: a wrong entry costs more than none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Login = Literal["password", "app-password", "token"]
"""What a provider wants: the account's password, one made for programs, or OAuth 2 tokens alone."""


@dataclass(frozen=True)
class Provider:
    """One provider's way in for programs."""

    name: str
    url: str
    """Of the relay, as in the configuration. ``REGION`` in capitals is to be filled in by a person."""
    domains: tuple[str, ...] = ()
    """Domains of its users' addresses; none for one that people use with their own."""
    other_url: str = ""
    """The same relay on its other port, for networks that block the first."""
    login: Login = "password"
    user: str = ""
    """The login name where it is not the address."""
    sender_is_login: bool = False
    """Whether it refuses, or rewrites, a sender other than the login's own addresses."""
    catch: tuple[str, ...] = ()
    """Sentences for a person, on what else stands in the way."""

    @property
    def host(self) -> str:
        """Give the relay's host."""
        return self.url.partition("://")[2].rpartition(":")[0]


_APP_ALWAYS = "An app password is needed; the account's own password is refused."
_APP_WITH_2FA = "With two-factor login on, an app password is needed."
_SWITCH_ON = "Access for mail programs (POP3, IMAP, SMTP) has to be switched on in the account's settings."
_CODE = "The password is the authorization code from the mailbox's settings, not the account's password."
_VERIFIED_SENDER = "The sender's address or domain has to be verified there first."


def _entry(name: str, host: str, *domains: str, **more: Any) -> Provider:
    """Give a provider that has both ports, as most do."""
    url, other_url = f"smtps://{host}:465", f"submission://{host}:587"
    return Provider(name=name, url=url, other_url=other_url, domains=domains, **more)


PROVIDERS: tuple[Provider, ...] = (
    _entry(
        "Gmail",
        "smtp.gmail.com",
        "gmail.com",
        "googlemail.com",
        login="app-password",
        sender_is_login=True,
        catch=(
            _APP_ALWAYS + " Google offers it only with 2-Step Verification on.",
            "Google Workspace uses the same server; there an administrator may have forbidden app passwords.",
        ),
    ),
    Provider(
        name="Outlook.com",
        url="submission://smtp-mail.outlook.com:587",
        domains=(
            "outlook.com",
            "hotmail.com",
            "live.com",
            "msn.com",
            "outlook.de",
            "outlook.fr",
            "hotmail.de",
            "hotmail.fr",
            "hotmail.co.uk",
            "live.de",
            "live.fr",
            "live.co.uk",
        ),
        login="token",
        sender_is_login=True,
        catch=("Passwords are refused, app passwords too: it takes OAuth 2 tokens alone (token-command).",),
    ),
    Provider(
        name="Microsoft 365",
        url="submission://smtp.office365.com:587",
        login="token",
        sender_is_login=True,
        catch=(
            "An administrator has to switch on authenticated SMTP for the mailbox.",
            (
                "Passwords are being retired, and are off by default for most organisations: plan for a "
                "token (token-command)."
            ),
        ),
    ),
    Provider(
        name="iCloud Mail",
        url="submission://smtp.mail.me.com:587",
        domains=("icloud.com", "me.com", "mac.com"),
        login="app-password",
        sender_is_login=True,
        catch=("An app-specific password from the Apple account is needed; its own password is refused.",),
    ),
    _entry(
        "Yahoo Mail",
        "smtp.mail.yahoo.com",
        "yahoo.com",
        "yahoo.de",
        "yahoo.it",
        "yahoo.fr",
        "yahoo.es",
        "yahoo.se",
        "yahoo.co.in",
        "yahoo.co.uk",
        "yahoo.co.nz",
        "yahoo.com.au",
        "yahoo.com.ar",
        "yahoo.com.br",
        "yahoo.com.mx",
        "ymail.com",
        "myyahoo.com",
        "rocketmail.com",
        login="app-password",
        sender_is_login=True,
        catch=(_APP_ALWAYS,),
    ),
    _entry(
        "AOL Mail",
        "smtp.aol.com",
        "aol.com",
        "aim.com",
        login="app-password",
        sender_is_login=True,
        catch=(_APP_ALWAYS,),
    ),
    _entry(
        "Fastmail",
        "smtp.fastmail.com",
        "fastmail.com",
        "fastmail.fm",
        login="app-password",
        sender_is_login=True,
        catch=(_APP_ALWAYS + " The Basic plan has no access for mail programs.",),
    ),
    _entry(
        "Zoho Mail",
        "smtp.zoho.com",
        "zoho.com",
        "zohomail.com",
        sender_is_login=True,
        catch=(
            _APP_WITH_2FA,
            (
                "Accounts of other data centres have their own: smtp.zoho.eu, smtp.zoho.in; organisations "
                "that pay use smtppro.zoho.com."
            ),
        ),
    ),
    _entry(
        "Zoho Mail (EU)",
        "smtp.zoho.eu",
        "zohomail.eu",
        sender_is_login=True,
        catch=(_APP_WITH_2FA,),
    ),
    _entry(
        "GMX",
        "mail.gmx.net",
        "gmx.net",
        "gmx.de",
        "gmx.at",
        "gmx.ch",
        "gmx.eu",
        "gmx.biz",
        "gmx.org",
        "gmx.info",
        sender_is_login=True,
        catch=(_SWITCH_ON, _APP_WITH_2FA),
    ),
    _entry(
        "GMX (international)",
        "mail.gmx.com",
        "gmx.com",
        "gmx.us",
        "gmx.co.uk",
        "gmx.es",
        "gmx.fr",
        "gmx.it",
        "gmx.pt",
        "gmx.se",
        "gmx.ie",
        sender_is_login=True,
        catch=(_SWITCH_ON, _APP_WITH_2FA),
    ),
    _entry(
        "WEB.DE",
        "smtp.web.de",
        "web.de",
        sender_is_login=True,
        catch=(_SWITCH_ON, _APP_WITH_2FA),
    ),
    Provider(
        name="Yandex Mail",
        url="smtps://smtp.yandex.com:465",
        domains=(
            "yandex.ru",
            "yandex.com",
            "yandex.net",
            "yandex.by",
            "yandex.kz",
            "yandex.ua",
            "ya.ru",
            "narod.ru",
        ),
        login="app-password",
        sender_is_login=True,
        catch=(_APP_ALWAYS, _SWITCH_ON),
    ),
    Provider(
        name="Mail.ru",
        url="smtps://smtp.mail.ru:465",
        domains=("mail.ru", "inbox.ru", "list.ru", "bk.ru", "internet.ru"),
        login="app-password",
        sender_is_login=True,
        catch=(_APP_ALWAYS,),
    ),
    _entry(
        "QQ Mail",
        "smtp.qq.com",
        "qq.com",
        "foxmail.com",
        "vip.qq.com",
        login="app-password",
        sender_is_login=True,
        catch=(_CODE, _SWITCH_ON),
    ),
    Provider(
        name="Tencent Exmail",
        url="smtps://smtp.exmail.qq.com:465",
        domains=("exmail.qq.com",),
        sender_is_login=True,
        catch=("With secure login on, the password is a client-specific one from the mailbox's settings.",),
    ),
    Provider(
        name="NetEase 163",
        url="smtps://smtp.163.com:465",
        domains=("163.com",),
        login="app-password",
        sender_is_login=True,
        catch=(_CODE, _SWITCH_ON),
    ),
    Provider(
        name="NetEase 126",
        url="smtps://smtp.126.com:465",
        domains=("126.com",),
        login="app-password",
        sender_is_login=True,
        catch=(_CODE, _SWITCH_ON),
    ),
    _entry(
        "Posteo",
        "posteo.de",
        "posteo.de",
        "posteo.net",
        "posteo.org",
        "posteo.eu",
        "posteo.at",
        "posteo.ch",
        "posteo.nl",
        "posteo.uk",
        "posteo.co.uk",
        "posteo.us",
        "posteo.es",
        "posteo.it",
        "posteo.dk",
        "posteo.be",
        "posteo.ca",
        "posteo.com",
        "posteo.me",
        "posteo.pl",
        "posteo.se",
        sender_is_login=True,
    ),
    _entry(
        "mailbox.org",
        "smtp.mailbox.org",
        "mailbox.org",
        sender_is_login=True,
        catch=(_APP_WITH_2FA,),
    ),
    _entry(
        "T-Online",
        "securesmtp.t-online.de",
        "t-online.de",
        "magenta.de",
        login="app-password",
        sender_is_login=True,
        catch=("The password is the e-mail password from the account's settings, not that of the login.",),
    ),
    _entry(
        "Infomaniak",
        "mail.infomaniak.com",
        "ik.me",
        "ikmail.com",
        "etik.com",
        sender_is_login=True,
        catch=("A device password, made for the mailbox, may be needed.",),
    ),
    _entry(
        "Purelymail",
        "smtp.purelymail.com",
        "purelymail.com",
        sender_is_login=True,
        catch=(_APP_WITH_2FA,),
    ),
    _entry(
        "Seznam",
        "smtp.seznam.cz",
        "seznam.cz",
        "email.cz",
        "post.cz",
        "spoluzaci.cz",
        sender_is_login=True,
        catch=(_SWITCH_ON,),
    ),
    Provider(
        name="Proton Mail",
        url="submission://smtp.protonmail.ch:587",
        domains=("proton.me", "protonmail.com", "pm.me", "protonmail.ch"),
        login="app-password",
        sender_is_login=True,
        catch=(
            (
                "It needs an SMTP token from the settings, which only certain paid plans have, for addresses "
                "of an own domain."
            ),
            (
                "Otherwise Proton Mail Bridge has to run on this host: submission://127.0.0.1:1025, the "
                "password that Bridge shows, and its certificate pinned with fingerprint."
            ),
        ),
    ),
    _entry("IONOS", "smtp.ionos.com", sender_is_login=True),
    _entry("IONOS (Germany)", "smtp.ionos.de", "ionos.de", sender_is_login=True),
    _entry(
        "OVHcloud",
        "smtp.mail.ovh.net",
        sender_is_login=True,
        catch=("It was ssl0.ovh.net before; mailboxes outside Europe have smtp.mail.ovh.ca.",),
    ),
    _entry("Gandi", "mail.gandi.net", sender_is_login=True),
    _entry("Migadu", "smtp.migadu.com", sender_is_login=True),
    _entry(
        "Mailgun",
        "smtp.mailgun.org",
        catch=(
            "The login is an SMTP credential of the sending domain; in the EU it is smtp.eu.mailgun.org.",
        ),
    ),
    _entry(
        "SendGrid",
        "smtp.sendgrid.net",
        user="apikey",
        login="app-password",
        catch=("The user is the word `apikey`, the password an API key.", _VERIFIED_SENDER),
    ),
    _entry(
        "Amazon SES",
        "email-smtp.REGION.amazonaws.com",
        login="app-password",
        catch=(
            "User and password are SMTP credentials made in the SES console, not an access key.",
            _VERIFIED_SENDER + " In the sandbox the recipient too.",
            "EC2 blocks port 25; 465, 587 and 2587 are open.",
        ),
    ),
    Provider(
        name="Postmark",
        url="submission://smtp.postmarkapp.com:587",
        other_url="submission://smtp.postmarkapp.com:2525",
        login="app-password",
        catch=("User and password are both the server's API token.", _VERIFIED_SENDER),
    ),
    _entry(
        "Brevo",
        "smtp-relay.brevo.com",
        login="app-password",
        catch=("User and SMTP key stand on the SMTP page of the settings.", _VERIFIED_SENDER),
    ),
    _entry(
        "Mailjet",
        "in-v3.mailjet.com",
        login="app-password",
        catch=("The user is the API key, the password the secret key.", _VERIFIED_SENDER),
    ),
)

_BY_DOMAIN = {domain: provider for provider in PROVIDERS for domain in provider.domains}


def for_address(address: str) -> Provider | None:
    """Give the provider of an address's domain; None for an unknown one, an own domain among them."""
    return _BY_DOMAIN.get(address.strip().rstrip(">").rpartition("@")[2].lower().rstrip("."))


def for_host(host: str) -> Provider | None:
    """Give the provider that a relay's host belongs to, to tell of its catch."""
    name = host.lower().rstrip(".")
    for provider in PROVIDERS:
        start, region, end = provider.host.partition("REGION")
        if name == provider.host or (region and name.startswith(start) and name.endswith(end)):
            return provider
    return None


def other_sender(host: str, user: str, sender: str) -> Provider | None:
    """Give the provider that takes no such sender from that login; None when nothing is known against it.

    A login without a domain is the part before the @ of an address at the provider.
    """
    provider = for_host(host)
    if provider is None or not provider.sender_is_login or not user or not sender:
        return None
    own = [user] if "@" in user else [f"{user}@{domain}" for domain in provider.domains]
    return None if not own or sender.lower() in map(str.lower, own) else provider
