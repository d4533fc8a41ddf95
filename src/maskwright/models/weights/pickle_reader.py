"""Reads a pickle as data: dictionaries of tensors and plain values. Knows no file and no torch.

A pickle is a program for a small stack machine. The machine here never imports or calls what the program names: the few
names that `torch.save` writes for a dictionary of tensors become records, and an object of any other class becomes its
name. It supports the opcodes of protocols 2 to 5 that such dictionaries need (`pickletools` describes them).
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

# Storage class in torch -> its dtype.
KINDS = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
}
_DICT = "collections.OrderedDict"
_TENSOR = "torch._utils._rebuild_tensor_v2"
_PARAMETER = "torch._utils._rebuild_parameter"
_NAMES = {*KINDS, _DICT, _TENSOR, _PARAMETER}
_SHOWN = 80
_DEEPEST = 1000  # torch.save nests about ten levels


class ForeignError(ValueError):
    """The pickle contains something that is not read; the text says what."""


@dataclass(frozen=True)
class Name:
    """The name of a class or function in a pickle; it is never looked up."""

    text: str


@dataclass(frozen=True)
class Foreign:
    """An object of another class than those of a state dict: the name of its class, and nothing of its contents."""

    text: str


@dataclass(frozen=True)
class Storage:
    """Numbers stored outside the pickle: their dtype, key and count."""

    dtype: str
    key: str
    numel: int


@dataclass(frozen=True)
class View:
    """A tensor as a view of its storage; offset and strides count elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def parse(stream: BinaryIO) -> tuple[Any, dict[str, Storage]]:
    """Read one pickle, and leave the stream at its end.

    Returns:
        numbers, text, tuples, lists, dictionaries, `View`s and `Foreign`s; and every storage, by its key.

    Raises:
        ForeignError: it contains what the machine does not support.
        ValueError, IndexError, KeyError: it is damaged.
    """
    machine = _Machine()
    for opcode, value, _ in pickletools.genops(stream):
        machine.step(opcode.name, value)
    (found,) = machine.stack
    return found, machine.storages


class _Machine:
    """The stack, marks and memo that the opcodes work on."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.storages: dict[str, Storage] = {}
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def step(self, opcode: str, value: Any) -> None:
        """Execute one opcode."""
        if opcode in _VALUES:
            self.stack.append(value)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode]())
        elif opcode in _SHORT_TUPLES:
            count = _SHORT_TUPLES[opcode]
            self.stack[len(self.stack) - count :] = [tuple(self._top(count))]
        elif opcode in _STEPS:
            _STEPS[opcode](self, value)
        elif opcode not in _SILENT:
            raise ForeignError(f"the opcode {opcode}")

    def _top(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("the stack is empty")
        return self.stack[len(self.stack) - count :]

    def mark(self, _: Any) -> None:
        if len(self._below) == _DEEPEST:
            raise ForeignError(f"more than {_DEEPEST} nested objects")
        self._below.append(self.stack)
        self.stack = []

    def _above_mark(self) -> list[Any]:
        found, self.stack = self.stack, self._below.pop()
        return found

    def whole_tuple(self, _: Any) -> None:
        found = tuple(self._above_mark())
        self.stack.append(found)

    def append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def appends(self, _: Any) -> None:
        self._extend(self._above_mark())

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)
        elif not isinstance(self.stack[-1], Foreign):
            raise ForeignError(f"an append to a {type(self.stack[-1]).__name__}")

    def set_item(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def set_items(self, _: Any) -> None:
        self._update(self._above_mark())

    def _update(self, flat: list[Any]) -> None:
        if isinstance(self.stack[-1], Foreign):
            return
        if not isinstance(self.stack[-1], dict):
            raise ForeignError(f"entries for a {type(self.stack[-1]).__name__}")
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            if isinstance(key, str):  # nothing else names a tensor
                self.stack[-1][key] = value

    def remember(self, place: int) -> None:
        self._memo[place] = self.stack[-1]

    def remember_next(self, _: Any) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def recall(self, place: int) -> None:
        self.stack.append(self._memo[place])

    def name(self, value: str) -> None:
        self._named(value.replace(" ", ".", 1))

    def name_on_stack(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._named(f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "an invalid name")

    def _named(self, text: str) -> None:
        self.stack.append(Name(text[:_SHOWN]))

    def storage(self, _: Any) -> None:
        """Resolve a persistent id; the legacy format appends the view of the storage, newer files do not."""
        match self.stack.pop():
            case ("storage", Name(kind), str(key), str(), int(numel), *view) if kind in KINDS and view in ([], [None]):
                found = Storage(KINDS[kind], key, numel)
            case ("storage", Name(kind), *_) if kind not in KINDS:
                raise ForeignError(kind)
            case _:
                raise ForeignError("a persistent id that does not name a storage")
        if numel < 0 or self.storages.setdefault(key, found) != found:
            raise ForeignError(f"two descriptions of the storage {key[:_SHOWN]!r}, or an impossible one")
        self.stack.append(found)

    def call(self, _: Any) -> None:
        """Record the result of a call: of the three that make a state dict, and of any other the name."""
        given, callee = self.stack.pop(), self.stack.pop()
        match callee, given:
            case Name(text), _ if text not in _NAMES:
                self.stack.append(Foreign(text))
            case Name(text), () if text == _DICT:
                self.stack.append({})
            case Name(text), (View() as tensor, bool(), dict(hooks)) if text == _PARAMETER and not hooks:
                self.stack.append(tensor)
            case Name(text), (Storage() as storage, offset, tuple(size), tuple(stride), bool(), *more) if (
                text == _TENSOR and not any(more) and all(type(n) is int for n in (offset, *size, *stride))
            ):  # more: hooks and metadata (whether the view negates or conjugates), both empty
                self.stack.append(View(storage, offset, size, stride))
            case _:
                raise ForeignError(
                    f"a call of {callee.text if isinstance(callee, Name) else 'no name'} with unexpected arguments"
                )

    def call_with_names(self, _: Any) -> None:
        self.stack.pop()
        self.call(_)

    def build(self, _: Any) -> None:
        """Drop the version numbers of layers, which a module's `state_dict()` carries as an attribute."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], Foreign):
            return
        if not (isinstance(self.stack[-1], dict) and isinstance(state, dict) and state.keys() <= {"_metadata"}):
            raise ForeignError("an object with attributes")


_INTEGERS = {"BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4"}
_TEXTS = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"}
_VALUES = {*_INTEGERS, *_TEXTS, "BINFLOAT", "BINBYTES", "SHORT_BINBYTES"}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_SILENT = {"PROTO", "FRAME", "STOP"}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "TUPLE": _Machine.whole_tuple,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "BINPUT": _Machine.remember,
    "LONG_BINPUT": _Machine.remember,
    "MEMOIZE": _Machine.remember_next,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_on_stack,
    "BINPERSID": _Machine.storage,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "NEWOBJ_EX": _Machine.call_with_names,
    "BUILD": _Machine.build,
}
