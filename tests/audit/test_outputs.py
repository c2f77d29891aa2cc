"""When two outputs count as the same."""

from __future__ import annotations

from typing import Any

import pytest

from grader.audit.outputs import MAX_CHARACTERS, MAX_LINES, Difference, Uncomparable, difference, shown_by


def printed(text: str, *, figures: int = 0) -> list[dict[str, Any]]:
    """Return outputs of a cell that printed a text and showed figures."""
    shown: list[dict[str, Any]] = [
        {"output_type": "display_data", "data": {"image/png": "aGVsbG8=", "text/plain": "<Figure>"}}
    ] * figures
    return [{"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}, *shown]


def part(then: str, now: str) -> Difference | None:
    """Return where two printed texts part."""
    return difference(shown_by(printed(then)), shown_by(printed(now)))


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("loss 0.51231", "loss 0.51235"),
        ("accuracy 0.713", "accuracy 0.714"),  # the last digit that is printed
        ("1.0000e-03", "1.0004e-03"),
        ("epoch 1 took 12.3 s", "epoch 1 took 90 s"),
        ("<object at 0x7f00deadbeef>", "<object at 0x7f00deadbee0>"),
        ("12:30:11 done", "09:01:59 done"),
        (" 10%|#   | 1/10\rdone", "done"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("1e99999", "1e99999"),
        ("0e99999 0e-99999", "0.0 0.0"),
        ("9" * 400_000, "9" * 400_000),
        ("a\n" * 5000 + "loss 0.51231", "a\n" * 5000 + "loss 0.51235"),
        ("\n".join(f"line {'x' * n}" for n in range(30)), "\n".join(f"line {'x' * n}" for n in range(1, 30))),
    ],
)
def test_what_differs_by_itself_is_no_difference(then: str, now: str) -> None:
    """Rounding, times, addresses, progress bars, colours, and one line in thirty."""
    assert part(then, now) is None


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("accuracy 0.71", "accuracy 0.13"),
        ("accuracy 0.713", "accuracy 0.716"),
        ("loss 0.5123", "loss 0.5170"),
        ("patchify: correct", "patchify: wrong"),
        ("count 3", "count 4"),
        ("loss nan", "loss 0.5"),
        ("a", ""),
        ("1e99999", "1e99998"),
        ("1e99999", "1.0"),
        ("-1e99999", "1e99999"),
    ],
)
def test_numbers_and_words_are_differences(then: str, now: str) -> None:
    """The first lines that part are the evidence."""
    assert part(then, now) == Difference(then, now)


def test_what_stands_behind_many_lines_is_compared() -> None:
    """Neither lines that agree nor digits without end hide a number; what is shown of them is short."""
    found = part("a\n" * 5000 + "accuracy 0.71", "a\n" * 5000 + "accuracy 0.13")
    digits = part("9" * 400_000, "9" * 399_999 + "8")

    assert found == Difference("accuracy 0.71", "accuracy 0.13")
    assert digits is not None
    assert digits.then != digits.now
    assert len(digits.then) < 60


def test_what_is_too_much_is_said_to_be() -> None:
    """More text, or more lines that differ, than are compared: at the limit there is an answer, above it a reason."""
    lines = [f"{'x' * index}." for index in range(MAX_LINES)]

    assert part("\n".join(lines), "\n".join(f"{line}!" for line in lines)) is not None
    with pytest.raises(Uncomparable, match=str(MAX_LINES)):
        part("\n".join([*lines, "."]), "\n".join(f"{line}!" for line in [*lines, "."]))
    shown_by(printed("x" * MAX_CHARACTERS))
    with pytest.raises(Uncomparable, match="characters"):
        shown_by(printed("x" * (MAX_CHARACTERS + 1)))


def test_a_value_that_has_no_plain_text_is_read_as_it_is() -> None:
    """A table or a formula without its plain text shows something, too."""
    assert shown_by([{"output_type": "execute_result", "data": {"text/html": "<b>0.71</b>"}}]).lines == ("<b>0.71</b>",)


def test_figures_count_only_where_none_is_left() -> None:
    """Files with figures taken out are common; a figure that does not come any more is worth a look."""
    some, more, none = (shown_by(printed("x", figures=count)) for count in (1, 3, 0))

    assert difference(some, more) is None
    assert difference(none, some) is None
    assert difference(some, none) == Difference("a figure", "no figure")


def test_an_error_is_kept_by_name_and_standard_error_is_left_out() -> None:
    """Warnings differ between versions of libraries."""
    outputs = [
        {"output_type": "stream", "name": "stderr", "text": "UserWarning"},
        {"output_type": "error", "ename": "ValueError", "evalue": "x"},
        {"output_type": "execute_result", "data": {"text/plain": ["1\n", "2"]}},
        {"output_type": 3, "data": None},
    ]

    assert shown_by(outputs).error == "ValueError"
    assert shown_by(outputs).lines == ("1", "2")
