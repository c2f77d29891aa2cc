"""The quick run of the fuzzer: what was found before stays mended, and some new inputs of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.fuzz import targets
from tests.fuzz.targets import CORPUS, TARGETS, Target, close

_EXAMPLES = 25
_READERS = {
    "zip": targets.read_archive,
    "tar": targets.read_archive,
    "notebook": targets.read_ipynb,
    "code": targets.read_code,
    "pt": targets.load_saved,
}


@pytest.fixture(scope="module", autouse=True)
def _sandbox_is_closed() -> Iterator[None]:
    """End the sandbox in which saved files are loaded."""
    yield
    close()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_whatever_the_bytes_the_answer_is_allowed(target: Target) -> None:
    """A value or a typed error, a report that keeps to its schema, never more than the caps."""

    @hypothesis.settings(
        max_examples=max(5, int(_EXAMPLES * target.share)),
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.randoms(use_true_random=True))
    def attempt(random: Random) -> None:
        target.run(target.make(random))

    attempt()


@pytest.mark.parametrize(
    "place", sorted(str(path.relative_to(CORPUS)) for path in CORPUS.glob("*/*") if path.parent.name != "wire")
)
def test_the_corpus_is_read(place: str) -> None:
    """Honest seeds, and inputs that once broke something."""
    _READERS[place.partition("/")[0]]((CORPUS / place).read_bytes())


@pytest.mark.parametrize("seed", [20458, 19262, 1, 2, 3, 4])
def test_values_of_every_kind_are_judged_in_silence(seed: int) -> None:
    """Overflows and signalling NaNs are wrong values and no warning: 20458 and 19262 once gave one."""
    targets.judge(targets.some_answers(Random(seed)))
