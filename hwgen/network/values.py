"""Frozen dataclasses that hold arrays, and still compare, hash and stay as they are."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, TypeVar, dataclass_transform

import numpy as np

__all__ = ["kept", "value"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass_transform(frozen_default=True, eq_default=True)
def value(cls):
    """A frozen dataclass whose NumPy fields are read-only and compared by contents."""
    cls = dataclass(frozen=True, eq=False)(cls)

    def freeze(self):
        for field in fields(self):
            array = getattr(self, field.name)
            if isinstance(array, np.ndarray) and array.flags.writeable:
                array = array.copy()
                array.flags.writeable = False
                object.__setattr__(self, field.name, array)

    def __init__(self, *args, **kwargs):
        plain_init(self, *args, **kwargs)
        freeze(self)

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        return all(
            np.array_equal(mine, theirs)
            if isinstance(mine, np.ndarray) and isinstance(theirs, np.ndarray)
            else mine is theirs
            if isinstance(mine, np.ndarray) or isinstance(theirs, np.ndarray)
            else mine == theirs
            for mine, theirs in (
                (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)
            )
        )

    def __hash__(self):
        return hash(
            tuple(
                v.tobytes() if isinstance(v, np.ndarray) else v
                for v in (getattr(self, f.name) for f in fields(self))
            )
        )

    plain_init = cls.__init__
    cls.__init__ = __init__
    cls.__eq__ = __eq__
    cls.__hash__ = __hash__
    return cls


def kept(function: F) -> F:
    """``function``, whose results are kept as long as its first argument lives: unlike hashing,
    which reads all of an array, asking again takes no time."""
    known: dict[tuple, object] = {}

    @wraps(function)
    def asked(first, *more):
        key = id(first), *more
        if key not in known:
            made = function(first, *more)
            weakref.finalize(first, known.pop, key, None)
            known[key] = made
        return known[key]

    return asked  # type: ignore[return-value]
