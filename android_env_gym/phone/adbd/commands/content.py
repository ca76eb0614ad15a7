"""`content`: query, insert, update and delete rows of the phone's content providers."""

from __future__ import annotations

import sqlite3

from android_env_gym.phone.adbd import providers
from android_env_gym.phone.adbd.commands.base import Call, CommandError, Options, RunCommand
from android_env_gym.phone.adbd.device_settings import SettingError
from android_env_gym.phone.adbd.providers import ProviderError, Row, Value

_VALUED = {"--uri", "--user", "--projection", "--where", "--sort", "--bind", "--extra", "--arg", "--method"}
_VERBS = ("query", "insert", "update", "delete", "gettype")
_MAX_STEPS = 2_000_000  # of SQLite's machine, so that no condition runs for long
_TYPES = {"s": str, "i": int, "l": int, "b": lambda text: int(text.lower() in ("true", "1")), "f": float, "d": float}


def content(call: Call) -> int:
    """Perform one of the commands on the table of `--uri`."""
    verb = call.args[0] if call.args else ""
    options = Options(call.args[1:], _VALUED, "content")
    if verb not in _VERBS:
        raise CommandError(f"[ERROR] Unsupported operation: {verb}; allowed: {', '.join(_VERBS)}", 1)
    if not options.has("--uri"):
        raise CommandError("[ERROR] Required argument missing: --uri", 1)
    try:
        with call.at_once() as call:
            return _perform(call, verb, options)
    except (ProviderError, SettingError) as error:
        raise CommandError(f"Error while accessing provider:{options.get('--uri')}\n{error}", 1) from error
    except sqlite3.Error as error:
        raise CommandError(f"android.database.sqlite.SQLiteException: {error} (code 1 SQLITE_ERROR)", 1) from error


def _perform(call: Call, verb: str, options: Options) -> int:
    table, number = providers.parse_uri(options.get("--uri"))
    if verb == "gettype":
        call.line(f"Result: vnd.android.cursor.{'dir' if number is None else 'item'}/{table.replace('/', '.')}")
        return 0
    if verb == "insert":
        providers.insert(call.served, table, _bound(options))
        return 0
    found = _select(providers.rows(call.served, table), number, options.get("--where"), options.get("--sort"))
    ids: set[Value] = {row["_id"] for row in found}
    if verb == "delete":
        providers.delete(call.served, table, ids)
    elif verb == "update":
        providers.update(call.served, table, ids, _bound(options))
    else:
        _print(call, found, options.get("--projection"))
    return 0


def _print(call: Call, found: list[Row], projection: str) -> None:
    if not found:
        call.line("No result found.")
        return
    columns = projection.split(":") if projection else list(found[0])
    if unknown := [name for name in columns if all(name not in row for row in found)]:
        raise ProviderError(f"java.lang.IllegalArgumentException: Invalid column {unknown[0]}")
    for index, row in enumerate(found):
        values = ((name, row.get(name)) for name in columns)
        text = ", ".join(f"{name}={'NULL' if value is None else value}" for name, value in values)
        call.line(f"Row: {index} {text}")


def _bound(options: Options) -> Row:
    """Return the values of `--bind NAME:TYPE:VALUE`."""
    found: Row = {}
    for text in options.values.get("--bind", []):
        name, kind, value = (*text.split(":", 2), "", "")[:3]
        if kind == "n":
            found[name] = None
        elif kind in _TYPES:
            try:
                found[name] = _TYPES[kind](value)
                if kind in "il" and not -(2**63) <= int(value) < 2**63:
                    raise ValueError(value)
            except ValueError:
                raise ProviderError(f"--bind {text}: {value!r} is no value of type {kind}") from None
        else:
            raise ProviderError(f"--bind {text}: got type {kind!r}, allowed are {', '.join(_TYPES)}, n")
    return found


def _select(found: list[Row], number: int | None, where: str, order: str) -> list[Row]:
    """Return the rows with this id that fulfil an SQL condition, in an SQL order; SQLite itself decides."""
    if not found:
        return []
    columns = list(dict.fromkeys(name for row in found for name in row))
    database = sqlite3.connect(":memory:", isolation_level=None)
    try:
        database.set_progress_handler(lambda: 1, _MAX_STEPS)
        names = ", ".join(f'"{name}"' for name in columns)
        database.execute(f"CREATE TABLE t (place INTEGER, {names})")
        marks = ", ".join("?" * (len(columns) + 1))
        database.executemany(
            f"INSERT INTO t VALUES ({marks})",
            ([place, *(row.get(name) for name in columns)] for place, row in enumerate(found)),
        )
        database.execute("PRAGMA query_only = ON")
        if where.strip():  # it must be a condition by itself too, so that no parenthesis of it closes ours
            database.execute(f"EXPLAIN SELECT place FROM t WHERE {where}")
        condition = f"({where})" if where.strip() else "1"
        if number is not None:
            condition += f" AND _id = {number}"
        picked = database.execute(f"SELECT place FROM t WHERE {condition} ORDER BY {order or 'place'}")
        return [found[place] for (place,) in picked]
    finally:
        database.close()


COMMANDS: dict[str, RunCommand] = {"content": content}
