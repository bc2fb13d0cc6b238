"""Functions registered by name, by a decorator beside their code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def registrar(table: dict[str, T], kind: str) -> Callable[[str], Callable[[T], T]]:
    """A decorator `@registered(name)` that puts what it decorates into `table`.

    A second one of a name raises RuntimeError, at import; `kind` says in it of what there are two.
    """

    def named(name: str) -> Callable[[T], T]:
        def register(entry: T) -> T:
            if name in table:
                raise RuntimeError(f"two {kind} are called {name}")
            table[name] = entry
            return entry

        return register

    return named
