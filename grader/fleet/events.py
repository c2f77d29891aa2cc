"""YAML as a stream of events: what nobody asks for is passed over, and nothing in it can grow or become an object."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OBJECTS = "tag:yaml.org,2002:python/"
_NOTHING = ("", "~", "null", "Null", "NULL")


class YamlError(ValueError):
    """The text is no YAML, or not of the kind that is read here; the message ends a sentence."""


class Events:
    """
    The events of one YAML document, each taken once.

    Aliases are refused, and so are anchors: a few hundred bytes of them can stand for gigabytes. Tags of Ruby's own
    classes are passed over; those that name Python's are refused.

    Args:
        text: the document.
    """

    def __init__(self, text: str) -> None:
        self._events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=_LOADER))

    def take(self) -> yaml.Event:
        """
        Return the next event.

        Raises:
            YamlError: the text is broken here, or has an alias, an anchor or a tag that is refused.
        """
        try:
            event = next(self._events)
        except StopIteration:
            raise YamlError("it ends too early") from None
        except yaml.YAMLError as error:
            raise YamlError(_why(error)) from None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise YamlError(f"{line_of(event)} has an anchor or an alias")
        if str(getattr(event, "tag", None)).startswith(_OBJECTS):
            raise YamlError(f"{line_of(event)} asks for an object of Python's")
        return event

    def pass_over(self, event: yaml.Event) -> None:
        """Take the rest of the value that begins with an event, however deep it is, and keep nothing."""
        depth = _step(event)
        while depth:
            depth += _step(self.take())

    def pairs(self) -> Iterator[tuple[str, yaml.Event]]:
        """
        Yield key and first event of the value, for each pair of a mapping that has begun.

        Whoever takes a pair takes the rest of its value, too, before the next one.

        Raises:
            YamlError: a key is no plain text.
        """
        while not isinstance(key := self.take(), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise YamlError(f"{line_of(key)} has a key that is no text")
            yield key.value, self.take()

    def items(self) -> Iterator[yaml.Event]:
        """Yield the first event of each item of a sequence that has begun; its rest is to be taken before the next."""
        while not isinstance(event := self.take(), yaml.SequenceEndEvent):
            yield event


def text_of(event: yaml.Event) -> str:
    """
    Return a scalar as it is written, and "" for null.

    Raises:
        YamlError: it is a list or a mapping.
    """
    if not isinstance(event, yaml.ScalarEvent):
        raise YamlError(f"{line_of(event)} has a list or a mapping where a text belongs")
    is_null = not event.style and event.value in _NOTHING  # quoted, it is a text
    return "" if is_null else str(event.value)


def line_of(event: yaml.Event) -> str:
    """Return where an event stands, as the beginning of a sentence."""
    return f"line {event.start_mark.line + 1}"


def _step(event: yaml.Event) -> int:
    if isinstance(event, yaml.CollectionStartEvent):
        return 1
    return -1 if isinstance(event, yaml.CollectionEndEvent) else 0


def _why(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}" if mark is not None else ""
    return f"it is no YAML{where}: {getattr(error, 'problem', None) or 'it has characters that YAML does not allow'}"
