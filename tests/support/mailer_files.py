"""The corpus of other mail programs' files: ``tests/data/import``, a directory a case.

Beside each file stands what must become of it: ``expected/config.toml`` for ``/etc/cronwrap``, the secrets
under their names, and ``expected/remarks``, a line each with its number.
"""

import os

from cronwrap.settings import relays

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "import")
CASES = sorted(entry.name for entry in os.scandir(CORPUS) if entry.is_dir())
MAIN_FILES = (
    *("mail.rc", "mailrc", "s-nail.rc", "msmtprc", "ssmtp.conf", "remotes", "dma.conf", "main.cf"),
    *("update-exim4.conf.conf", "esmtprc", "auth.conf", "sasl_passwd", "passwd.client"),
)
"""Of several files in a directory the first of these is the one that is imported."""


def main_file(case):
    """Give the name of the file that a case imports."""
    return next(name for name in MAIN_FILES if os.path.exists(os.path.join(CORPUS, case, name)))


def accepted(imported):
    """Assert that cronwrap takes the configuration, and that no secret stands in it."""
    config = imported.placed("/etc/cronwrap")
    assert set(config) <= {"mailto", "mailfrom", "relay", "delivery"}
    for table in config.get("relay", []):
        relays.parse(table, "imported")
        assert "password" not in table
    return config
