"""A few points of the campaign (``make campaign`` has them all): killed or failing there, nothing is lost."""

from __future__ import annotations

import pytest

from campaign.campaign import CASES, campaign
from support.cli import CRONWRAP
from support.tracing import need_strace

POINTS = 8
"""Kills, and errors, in all: some seconds."""


@pytest.mark.timeout(300)
def test_of_a_few_kills_and_faults_none_costs_a_job_its_start_its_status_or_its_report():
    need_strace()
    matrix = campaign([CRONWRAP], POINTS, POINTS, 1)
    assert matrix.bad == []
    tried = sum(number for (_case, _kind, column), number in matrix.rows.items() if column == "points")
    assert tried == 2 * POINTS
    assert {case for case, _kind, _column in matrix.rows} == {case.name for case in CASES}
