"""The name of a job that was given none."""

from __future__ import annotations

import binascii

from hypothesis import given
from hypothesis import strategies as st

from cronwrap.settings.job_name import LONG, crc32, job_name


@given(st.binary(max_size=LONG + 8))
def test_the_checksum_is_that_of_the_library(octets):
    assert crc32(octets) == binascii.crc32(octets)


def test_the_names_of_jobs_stay_what_they_were():
    assert job_name("true") == "true"
    assert job_name("/usr/local/bin/backup --all /home") == "backup-all-home-2f7f8c96"
