"""Scripts that start collectors when they are imported: found before a process is started, and said in one line.

Collectors are spawned: each imports the user's script first, for what it defines. One that calls `learn` outside
`if __name__ == "__main__":` would start collectors there too, which Python refuses with a page of text.
`require_main_guard` looks at the line that calls; where there is none, as in a thread, `script_without_guard` still
tells a script that cannot have a guard. Callers: `algorithm.DistRL.learn` and `process_fleet.ProcessFleet.start`.
"""

from __future__ import annotations

import ast
import multiprocessing
import sys
from pathlib import Path
from types import FrameType

GUARD = 'put the code of your script under `if __name__ == "__main__":`, because every collector imports the script'


class UnguardedScriptError(SystemExit):
    """The main script starts collectors while it is imported. Not caught, it ends the script with its line."""


def require_main_guard() -> None:
    """Check that collectors can import the main script without starting collectors themselves.

    Raises:
        UnguardedScriptError: They cannot.
    """
    main = sys.modules["__main__"]
    script = getattr(main, "__file__", None)
    place = _calling_line(main.__dict__)
    if script is not None and place is not None and not _is_guarded(Path(script), place):
        raise UnguardedScriptError(_message(f"{script}, line {place}"))
    # Inside a collector that is still importing the script: what was not seen above, such as a call in a module of it.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UnguardedScriptError(_message(str(script or "the script")))


def script_without_guard() -> Path | None:
    """Return the main script if child processes would run it again from top to bottom, else None.

    "spawn" imports the main module in every child, except the `__main__.py` of a package. A script that never mentions
    `__main__` cannot tell the two apart.
    """
    main = sys.modules.get("__main__")
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if file is None or (spec is not None and spec.name.endswith("__main__")):
        return None
    try:
        return None if "__main__" in Path(file).read_text(errors="replace") else Path(file)
    except OSError:
        return None


def _message(place: str) -> str:
    return (
        f"error: {place}: collectors import this script, and would start collectors in turn: put what it does under "
        'if __name__ == "__main__":, or set fleet.kind to "serial"'
    )


def _calling_line(script: dict[str, object]) -> int | None:
    """Return the line of the main script's top level that is being executed, None if it is another thread's."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals is script and frame.f_code.co_name == "<module>":
            return frame.f_lineno
        frame = frame.f_back
    return None


def _is_guarded(script: Path, line: int) -> bool:
    """Return whether `line` of `script` is under its main guard; also if that cannot be told."""
    try:
        tree = ast.parse(script.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, SyntaxError):  # a notebook, a zip, a file changed since
        return True
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and _asks_for_main(node.test)]
    return any(node.body[0].lineno <= line <= (node.body[-1].end_lineno or line) for node in guards)


def _asks_for_main(test: ast.expr) -> bool:
    names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    texts = {node.value for node in ast.walk(test) if isinstance(node, ast.Constant)}
    return "__name__" in names and "__main__" in texts
