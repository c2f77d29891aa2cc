"""An example of questions that staff add: `python -m grader grade SUBMISSION --staff-questions THIS_FILE`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from gradescope_utils.autograder_utils.decorators import number, partial_credit, visibility, weight

from grader.pipeline.staff import StaffQuestion


class KeptPatches(StaffQuestion):
    """Looks at what random_masking returned for hidden inputs."""

    check = "random_masking.output"

    def setUp(self) -> None:
        """Fail with a sentence where nothing came home."""
        if self.student is None:
            self.fail("random_masking did not return anything, so this cannot be looked at.")

    @weight(1)
    @number("S.1")
    def test_a_quarter_is_kept(self) -> None:
        """A quarter of the patches is kept."""
        self.assertEqual(self.student[0]["kept"].shape[1], 16)  # noqa: PT009 - the idiom of unittest

    @partial_credit(2)
    @number("S.2")
    @visibility("after_published")
    def test_mask_counts(self, set_score: Callable[[float], None]) -> None:
        """The mask marks 48 of 64 patches in every image; half of the points if only in some."""
        right = [np.all(case["mask"].sum(axis=1) == 48) for case in self.student]
        set_score(2.0 * sum(right) / len(right))
