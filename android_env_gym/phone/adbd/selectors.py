"""UiSelector as uiautomator2 sends it: criteria named by mask bits, chains of child and sibling, instances.

Finding one element by a selector without index, instance and chain searches all windows and heeds case in
`...Contains` and `...StartsWith`; every other search is of the active window and does not: so the real server, which
uses BySelector for the former and UiSelector for the latter. Called by the uiautomator2 server's methods.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from android_env_gym.phone.adbd.hierarchy import Element

MAX_CHAIN = 32


class SelectorError(ValueError):
    """What was sent is no selector: an unknown field, a wrong type, a broken regular expression."""


class Selector(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One UiSelector; `mask` says which of its criteria count, the fields' values are theirs."""

    mask: int = 0
    text: str = ""
    text_contains: str = ""
    text_matches: str = ""
    text_starts_with: str = ""
    class_name: str = ""
    class_name_matches: str = ""
    description: str = ""
    description_contains: str = ""
    description_matches: str = ""
    description_starts_with: str = ""
    checkable: bool = False
    checked: bool = False
    clickable: bool = False
    long_clickable: bool = False
    scrollable: bool = False
    enabled: bool = False
    focusable: bool = False
    focused: bool = False
    selected: bool = False
    package_name: str = ""
    package_name_matches: str = ""
    resource_id: str = ""
    resource_id_matches: str = ""
    index: int = 0
    instance: int = 0
    child_or_sibling: tuple[str, ...] = ()
    child_or_sibling_selector: tuple[Selector, ...] = ()

    def __str__(self) -> str:
        """Return the selector as Android prints it in exceptions: "UiSelector[TEXT=Save]"."""
        parts = [f"{title}={getattr(self, name)}" for name, bit, title in _PRINTED if self.mask & bit]
        links = zip(self.child_or_sibling, self.child_or_sibling_selector, strict=False)
        parts += [f"{'CHILD' if kind == 'child' else 'PARENT'}={below}" for kind, below in links]
        return f"UiSelector[{', '.join(parts)}]"


class Pattern(msgspec.Struct, frozen=True):
    """The `instance`-th element that `child` matches inside what `collection` matches, found anew at each use."""

    collection: Selector
    child: Selector
    instance: int

    def __str__(self) -> str:
        """Return the pattern as Android prints it in exceptions."""
        return f"UiSelector[CONTAINER={self.collection}, PATTERN={self.child}, INSTANCE={self.instance}]"


INDEX, INSTANCE = 0x80_0000, 0x100_0000
_Value = Callable[[Element], str | None]
_TEXTS: tuple[tuple[str, int, _Value], ...] = (
    ("text", 0x1, lambda element: element.text),
    ("description", 0x40, lambda element: element.description),
)
_NAMES: tuple[tuple[str, int, _Value], ...] = (
    ("class_name", 0x10, lambda element: element.node.class_name),
    ("package_name", 0x8_0000, lambda element: element.package),
    ("resource_id", 0x20_0000, lambda element: element.resource_name),
)
_FLAGS: tuple[tuple[str, int, Callable[[Element], bool]], ...] = (
    ("checkable", 0x400, lambda element: element.node.checkable),
    ("checked", 0x800, lambda element: element.node.checked),
    ("clickable", 0x1000, lambda element: element.node.clickable),
    ("long_clickable", 0x2000, lambda element: element.node.long_clickable),
    ("scrollable", 0x4000, lambda element: element.node.scrollable),
    ("enabled", 0x8000, lambda element: element.node.enabled),
    ("focusable", 0x1_0000, lambda element: element.focusable),
    ("focused", 0x2_0000, lambda element: element.node.focused),
    ("selected", 0x4_0000, lambda element: element.node.selected),
)
_PRINTED: tuple[tuple[str, int, str], ...] = (
    *((name, bit, name.upper()) for name, bit, _ in _TEXTS),
    *((f"{name}_contains", bit << 1, f"CONTAINS_{name.upper()}") for name, bit, _ in _TEXTS),
    *((f"{name}_matches", bit << 2, f"{name.upper()}_REGEX") for name, bit, _ in _TEXTS),
    *((f"{name}_starts_with", bit << 3, f"START_{name.upper()}") for name, bit, _ in _TEXTS),
    *((name, bit, name.upper().removesuffix("_NAME") if "class" in name else name.upper()) for name, bit, _ in _NAMES),
    *((f"{name}_matches", bit << 1, f"{name.upper()}_REGEX") for name, bit, _ in _NAMES),
    *((name, bit, name.upper()) for name, bit, _ in _FLAGS),
    ("index", INDEX, "INDEX"),
    ("instance", INSTANCE, "INSTANCE"),
)
_Criterion = Callable[[Element], bool]


def decode(raw: Any) -> Selector:
    """Return the selector in a JSON-RPC parameter.

    Raises:
        SelectorError: It is none; the message says where it went wrong.
    """
    try:
        selector = msgspec.convert(_texts_of_numbers(raw), Selector)
        _check_chain(selector)
        _criteria(selector, False)
    except (msgspec.ValidationError, RecursionError, re.error) as error:
        raise SelectorError(f"not a selector: {error}") from error
    return selector


def find(roots: Sequence[Element], selector: Selector | Pattern) -> Element | None:
    """Return the first element that `selector` means in the windows `roots`, None if there is none."""
    if isinstance(selector, Selector) and _is_simple(selector):
        criteria = _criteria(selector, False)
        elements = (item for root in roots for item in root.walk())
        return next((item for item in elements if all(test(item) for test in criteria)), None)
    return next(find_all(roots, selector), None)


def find_all(roots: Sequence[Element], selector: Selector | Pattern) -> Iterator[Element]:
    """Yield the elements that `selector` means in the active window; all instances if it names none."""
    if isinstance(selector, Pattern):
        found = find_instances(roots, selector.collection, selector.child)
        return iter(found[selector.instance : selector.instance + 1])
    return _find_chain(roots[0], selector)


def find_instances(roots: Sequence[Element], collection: Selector, child: Selector) -> list[Element]:
    """Return what `child` matches inside the first element that `collection` matches."""
    inside = find(roots, collection)
    if inside is None:
        return []
    any_instance = msgspec.structs.replace(child, mask=child.mask & ~INSTANCE)
    return list(_find_chain(inside, any_instance))


def _find_chain(root: Element, selector: Selector) -> Iterator[Element]:
    links = tuple(zip(selector.child_or_sibling, selector.child_or_sibling_selector, strict=False))
    search = _Search((("", selector), *links))
    found = search.below(root, 0)
    yield from islice(found, 1) if search.steps[-1][1].mask & INSTANCE else found


def _is_simple(selector: Selector) -> bool:
    return not selector.mask & (INDEX | INSTANCE) and not selector.child_or_sibling and selector.mask != 0


class _Search:
    """One search of a chain of selectors, as UiAutomator's QueryController does it.

    Each step's counter lives as long as the search, so an instance counts over all that the steps before it match;
    an element that several matches of the steps before lead to is found as often.
    """

    def __init__(self, steps: tuple[tuple[str, Selector], ...]) -> None:
        self.steps = steps
        self.criteria = [_criteria(selector, True) for _, selector in steps]
        self.passed = [selector.instance if selector.mask & INSTANCE else 0 for _, selector in steps]

    def below(self, element: Element, step: int) -> Iterator[Element]:
        """Yield what the chain from `step` on means in the subtree of `element`."""
        if self._matches(element, step):
            if step + 1 == len(self.steps):
                yield element
            else:
                step += 1
                if self.steps[step][0] == "sibling":
                    if element.parent is None:
                        return
                    element = element.parent
        for child in element.children:
            yield from self.below(child, step)

    def _matches(self, element: Element, step: int) -> bool:
        selector = self.steps[step][1]
        if selector.mask & INDEX and element.index != selector.index:
            return False
        if not all(test(element) for test in self.criteria[step]):
            return False
        if self.passed[step]:
            self.passed[step] -= 1
            return False
        return True


@lru_cache(maxsize=256)
def _criteria(selector: Selector, fold: bool) -> tuple[_Criterion, ...]:
    """Return the tests of one selector, its chain, index and instance aside; `fold` ignores case where it may."""
    mask = selector.mask
    tests: list[_Criterion] = []
    for name, bit, value in _TEXTS:
        tests += _exact(mask & bit, value, getattr(selector, name))
        tests += _part(mask & bit << 1, value, getattr(selector, f"{name}_contains"), fold, str.__contains__)
        tests += _pattern(mask & bit << 2, value, getattr(selector, f"{name}_matches"))
        tests += _part(mask & bit << 3, value, getattr(selector, f"{name}_starts_with"), fold, str.startswith)
    for name, bit, value in _NAMES:
        tests += _exact(mask & bit, value, getattr(selector, name))
        tests += _pattern(mask & bit << 1, value, getattr(selector, f"{name}_matches"))
    for name, bit, flag in _FLAGS:
        tests += _flag(mask & bit, flag, getattr(selector, name))
    return tuple(tests)


def _exact(wanted: int, value: _Value, expected: str) -> list[_Criterion]:
    return [lambda element: value(element) == expected] if wanted else []


def _flag(wanted: int, flag: Callable[[Element], bool], expected: bool) -> list[_Criterion]:
    return [lambda element: flag(element) == expected] if wanted else []


def _pattern(wanted: int, value: _Value, expression: str) -> list[_Criterion]:
    if not wanted:
        return []
    compiled = re.compile(expression)
    return [lambda element: (text := value(element)) is not None and compiled.fullmatch(text) is not None]


def _part(wanted: int, value: _Value, part: str, fold: bool, holds: Callable[[str, str], bool]) -> list[_Criterion]:
    if not wanted:
        return []
    sought = part.lower() if fold else part

    def test(element: Element) -> bool:
        text = value(element)
        return text is not None and holds(text.lower() if fold else text, sought)

    return [test]


def _texts_of_numbers(raw: Any) -> Any:
    """Return `raw` with numbers given for texts as texts, as Jackson reads them on the device."""
    if not isinstance(raw, dict):
        return raw
    numbers = {"mask", "index", "instance"}
    return {
        key: (
            str(value)
            if isinstance(value, int | float) and not isinstance(value, bool) and key not in numbers
            else [_texts_of_numbers(item) for item in value]
            if isinstance(value, list)
            else value
        )
        for key, value in raw.items()
    }


def _check_chain(selector: Selector) -> None:
    if len(selector.child_or_sibling) > MAX_CHAIN:
        raise SelectorError(f"not a selector: a chain of {len(selector.child_or_sibling)}, allowed are {MAX_CHAIN}")
    for below in selector.child_or_sibling_selector:
        _criteria(below, False)
