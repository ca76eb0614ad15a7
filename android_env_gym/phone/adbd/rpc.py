"""JSON-RPC 2.0 as jsonrpc4j answers it on the device: overloads chosen by the parameters, errors told by name.

Invariant: every request gets one reply object, a result or an error; a client recognises errors by `message`.
The uiautomator2 server registers its methods as `Overload`s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from android_env_gym.phone.adbd.selectors import SelectorError, decode

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
CUSTOM_ERROR = -32001
NOT_FOUND = "androidx.test.uiautomator.UiObjectNotFoundException"


class RpcError(Exception):
    """A failed call, as its reply tells it.

    Attributes:
        code: JSON-RPC error code.
        message: What clients compare: the class of the Java exception.
        data: The Java exception's message.
    """

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(f"{message}: {data}" if data else message)
        self.code, self.message, self.data = code, message, data


def object_not_found(what: object) -> RpcError:
    """Return the error for a selector that means nothing on the screen."""
    return RpcError(CUSTOM_ERROR, NOT_FOUND, str(what))


class Overload(msgspec.Struct, frozen=True):
    """One signature of a method.

    `kinds` are words for its parameters: int, float, bool, text (or null), selector, object (a selector, or the
    key that `childBy...` returned), point, ints.
    """

    kinds: tuple[str, ...]
    call: Callable[..., Any]


Methods = Mapping[str, Sequence[Overload]]


def overload(kinds: str, call: Callable[..., Any]) -> Overload:
    """Return the signature whose parameters `kinds` names, separated by blanks."""
    return Overload(tuple(kinds.split()), call)


def answer(request: bytes, methods: Methods) -> bytes:
    """Return the reply to one JSON-RPC request."""
    try:
        call = msgspec.json.decode(request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _reply("null", error=RpcError(PARSE_ERROR, "JSON parse error"))
    if not isinstance(call, dict) or not isinstance(call.get("method"), str):
        return _reply("null", error=RpcError(INVALID_REQUEST, "Invalid Request"))
    identity = call.get("id")
    try:
        return _reply(identity, result=_dispatch(call["method"], call.get("params"), methods))
    except RpcError as error:
        return _reply(identity, error=error)


def _dispatch(name: str, params: Any, methods: Methods) -> Any:
    if name not in methods:
        raise RpcError(METHOD_NOT_FOUND, "method not found")
    # A client without arguments sends {}; named parameters are not supported, as on the device.
    given = params or []
    if isinstance(given, list):
        for signature in methods[name]:
            values = _fitted(signature.kinds, given)
            if values is not None:
                return signature.call(*values)
    raise RpcError(INVALID_PARAMS, "method parameters invalid")


def _reply(identity: Any, *, result: Any = None, error: RpcError | None = None) -> bytes:
    reply: dict[str, Any] = {"jsonrpc": "2.0", "id": identity}
    if error is None:
        reply["result"] = result
    else:
        reply["error"] = {"code": error.code, "message": error.message, "data": error.data}
    return msgspec.json.encode(reply)


def _fitted(kinds: tuple[str, ...], given: list[Any]) -> list[Any] | None:
    if len(given) != len(kinds):
        return None
    try:
        return [_READERS[kind](value) for kind, value in zip(kinds, given, strict=True)]
    except _Unfit:
        return None


class _Unfit(Exception):
    """A parameter is not of the kind that the signature has at its place."""


def _int(value: Any) -> int:
    return int(_float(value))  # Jackson cuts a float to an int


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 2**31:
        raise _Unfit
    return float(value)


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Unfit
    return value


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _Unfit
    return value


def _selector(value: Any) -> Any:
    if not isinstance(value, dict):
        raise _Unfit
    try:
        return decode(value)
    except SelectorError as error:
        raise RpcError(INVALID_PARAMS, "method parameters invalid", str(error)) from error


def _object(value: Any) -> Any:
    return value if isinstance(value, str) else _selector(value)


def _point(value: Any) -> tuple[int, int]:
    if not isinstance(value, dict) or set(value) != {"x", "y"}:
        raise _Unfit
    return _int(value["x"]), _int(value["y"])


def _ints(value: Any) -> list[int]:
    if not isinstance(value, list):
        raise _Unfit
    return [_int(item) for item in value]


_READERS: dict[str, Callable[[Any], Any]] = {
    "int": _int,
    "float": _float,
    "bool": _bool,
    "text": _text,
    "selector": _selector,
    "object": _object,
    "point": _point,
    "ints": _ints,
}
