"""What reads from outside takes any octets: the corpus, and some hundred variants of it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.fuzzing import ALLOWED, TARGETS, mutated, seeds

VARIANTS = {"relay": 60, "record": 60, "outbox": 60}
"""How many are tried of a target that costs more than computing; of the others 200."""

CASES = [(name, base, octets) for name in TARGETS for base, octets in seeds(name)]


def tried(name, octets):
    try:
        TARGETS[name](octets)
    except ALLOWED:
        return


@pytest.mark.parametrize(("name", "octets"), [pytest.param(n, o, id=f"{n}/{b}") for n, b, o in CASES])
def test_the_corpus_is_taken(name, octets):
    tried(name, octets)


@pytest.mark.parametrize("name", TARGETS)
def test_variants_of_the_corpus_are_taken(name):
    corpus = [octets for _base, octets in seeds(name)]
    dice = random.Random(4711)
    for _ in range(VARIANTS.get(name, 200)):
        tried(name, mutated(dice.choice(corpus), corpus, dice))


@pytest.mark.parametrize("name", sorted(set(TARGETS) - set(VARIANTS)))
def test_any_octets_are_taken(name):
    @settings(max_examples=50, deadline=None)
    @given(st.binary(max_size=400))
    def check(octets):
        tried(name, octets)

    check()
