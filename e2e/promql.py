"""What names a PromQL expression asks for. No evaluator: it tells selectors, label lists, functions and words apart."""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
      | (?P<range>\[[^\]]*\])
      | (?P<number>(?:\d+(?:ms|[smhdwy]))+|0x[0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<mark>=~|!~|!=|==|>=|<=|[-+*/%^=<>(){},@])""",
    re.VERBOSE,
)
# Followed by a list of labels in brackets.
LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}


@dataclass
class Names:
    """Metrics with the labels that their selectors name, and labels that the rest of the expression names."""

    metrics: dict[str, set[str]] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)


def tokens(expression):
    place, found = 0, []
    while place < len(expression):
        token = TOKEN.match(expression, place)
        assert token, f"what is {expression[place:]!r} in {expression!r}?"
        if token.lastgroup != "space":
            found.append((token.lastgroup, token.group()))
        place = token.end()
    return found


def names(expression):
    found, left = Names(), tokens(expression)
    place = 0
    at = lambda number: left[number][1] if number < len(left) else ""
    while place < len(left):
        kind, text = left[place]
        place += 1
        if kind != "name" or text.lower() in WORDS:
            assert kind != "mark" or text != "{", f"a selector without a name in {expression!r}"
            continue
        if text.lower() in LISTS:
            if at(place) == "(":
                end = next(number for number in range(place, len(left)) if at(number) == ")")
                found.labels |= {word for kind, word in left[place:end] if kind == "name"}
                place = end + 1
        elif at(place) in LISTS or at(place) == "(":
            pass  # A function, or an aggregation with its labels first.
        else:
            labels = found.metrics.setdefault(text, set())
            if at(place) == "{":
                end = next(number for number in range(place, len(left)) if at(number) == "}")
                labels |= {word for kind, word in left[place:end] if kind == "name"}
                place = end + 1
    return found
