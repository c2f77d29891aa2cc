"""When something was handed in, and how many days after it was due."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone

from grader.errors import StaffError

_DAY_S = 24 * 3600
# As the platform writes times: "2022-11-22 20:00:00.000000000 Z", or "2022-11-22T12:00:00.000-08:00".
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,9})?)?\s*(?:(Z|UTC)|([+-])(\d\d):?(\d\d))", re.ASCII
)


def time_of(text: str) -> datetime | None:
    """Return a time with its zone, to the second, or None if a text is none."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, _, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    try:
        zone = timezone(offset)
        return datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=zone)
    except ValueError:  # the 31st of June
        return None


def days_late(created_at: str, due_at: str) -> int | None:
    """Return begun days after the due time, 0 for in time, None where one of the two is not known."""
    created, due = time_of(created_at), time_of(due_at)
    if created is None or due is None:
        return None
    return max(0, math.ceil((created - due).total_seconds() / _DAY_S))


def require_time(text: str) -> str:
    """
    Return a due time as staff wrote it.

    Raises:
        StaffError: it is no time, or has no zone.
    """
    if time_of(text) is None:
        raise StaffError(
            happened=f"{text!r} is no time with a zone.",
            try_next='Write it as "2026-11-20 23:59 -0800" or with a Z for UTC.',
        )
    return text
