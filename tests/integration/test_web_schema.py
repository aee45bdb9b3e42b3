"""The OpenAPI document tells the truth: schemathesis asks what may be asked by it, and what may not."""

from __future__ import annotations

import os
import warnings

import pytest
from hypothesis import HealthCheck, given, seed, settings

from cronwrap.web.api.table import EVERY, ROUTES
from cronwrap.web.guard import PEER
from support.web import Page
from support.web_state import crontab_of_names, hostile

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import CHECKS

EXAMPLES = 4
"""For each operation and mode; `make fuzz` may take more."""
LEFT_OUT = ("positive_data_acceptance",)
"""What a moment or a state may be is not all in a schema: such a request may be refused, with words."""


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    place = tmp_path_factory.mktemp("schema")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRONWRAP_STATE_DIR", str(place / "state"))
        patch.setenv("PATH", f"{crontab_of_names(str(place))}:{os.environ['PATH']}")
        hostile(str(place / "state"))
        page = Page()

        async def application(scope, receive, send):
            if scope["type"] == "http":
                others = [pair for pair in scope["headers"] if pair[0] != b"host"]
                scope |= {PEER: page.peer, "headers": [*others, (b"host", b"localhost")]}
            await page.guard(scope, receive, send)

        yield schemathesis.openapi.from_asgi("/api/v1/openapi.json", application)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)
def test_every_operation_answers_as_the_document_says(schema, mode):
    left_out = [check for check in CHECKS.get_all() if check.__name__ in LEFT_OUT]
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
        @seed(4711)
        def ask(case):
            case.call_and_validate(excluded_checks=left_out)

        ask()
        asked += 1
    assert asked == len(ROUTES)


def test_every_address_of_the_contract_is_served():
    assert [route.path for route in EVERY if route not in ROUTES] == []
