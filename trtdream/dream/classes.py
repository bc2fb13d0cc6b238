"""Classes by name, and where a network's scores of them are."""

from __future__ import annotations

from collections.abc import Sequence

from trtdream.errors import UsageError
from trtdream.runtime.model import Model


def scores_value(model: Model) -> str:
    """The value that holds the classes' scores, before the softmax.

    Raises:
        InputRefused: the network is no classifier.
    """
    value, is_scores = model.probabilities()
    return value if is_scores else model.graph.values[value].reads[0]


def find_class(labels: Sequence[str], name: str) -> int:
    """The class of a number, a label (`n02123045 tabby, tabby cat`), its id, or one of its names.

    A word of a name does as well, if only one class has it.

    Raises:
        UsageError: none, or several; they are listed.
    """
    if name.isdecimal():
        if labels and int(name) >= len(labels):
            raise UsageError(f"class {name}: there are {len(labels)}, 0 to {len(labels) - 1}")
        return int(name)
    wanted = name.casefold().strip()
    for match in (_is_called, _has_word):
        found = [index for index, label in enumerate(labels) if match(label.casefold(), wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            shown = "; ".join(f"{index} {labels[index]}" for index in found[:5])
            raise UsageError(f"class {name!r}: {len(found)} are called so: {shown}; give one's number")
    raise UsageError(f"class {name!r}: none of the network's {len(labels)} classes is called so; give its number")


def _names(label: str) -> list[str]:
    """The id, if there is one, and the names of a label."""
    identity, _, rest = label.partition(" ")
    has_id = identity[:1] == "n" and identity[1:].isdecimal()
    return [*([identity] if has_id else []), *(each.strip() for each in (rest if has_id else label).split(","))]


def _is_called(label: str, wanted: str) -> bool:
    return wanted == label or wanted in _names(label)


def _has_word(label: str, wanted: str) -> bool:
    return any(wanted in each.split() for each in _names(label))
