"""`python -m android_env_gym list | check | sheet`: what there is, whether it keeps its promises, how it looks.

With `--json` the last line of standard output is one JSON object and everything else goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import msgspec

from android_env_gym.errors import UnknownNameError
from android_env_gym.phone.apps import APPS
from android_env_gym.phone.sheet import write_sheet
from android_env_gym.tasks.check import check_template
from android_env_gym.tasks.suites import suite, suites, templates


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except (UnknownNameError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m android_env_gym", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="list apps, suites and task templates")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=_list)
    check = commands.add_parser("check", help="run oracle, no-op, random and near miss on every template of a suite")
    check.add_argument("--suite", default="starter")
    check.add_argument("--instances", type=int, default=5, help="episodes of each kind per template")
    check.add_argument("--json", action="store_true")
    check.set_defaults(run=_check)
    sheet = commands.add_parser("sheet", help="draw every screen of every app into one PNG")
    sheet.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    sheet.add_argument("--dark", action="store_true", help="use the dark theme")
    sheet.set_defaults(run=_sheet)
    return parser


def _list(arguments: argparse.Namespace) -> int:
    rows = [
        {"id": item.id, "apps": list(item.apps), "difficulty": item.difficulty, "oracle_steps": item.oracle_steps}
        for item in templates().values()
    ]
    if arguments.json:
        apps = [app.id for app in APPS]
        print(json.dumps({"apps": apps, "suites": {k: list(v) for k, v in suites().items()}, "templates": rows}))
        return 0
    print("apps      " + ", ".join(app.title for app in APPS))
    for name, items in suites().items():
        print(f"suite     {name:<10} {len(items)} templates")
    for row in rows:
        print(f"template  {row['id']:<32} L{row['difficulty']}  {row['oracle_steps']:>2} steps")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    if arguments.instances < 1:
        print(f"error: --instances is {arguments.instances}; it must be at least 1", file=sys.stderr)
        return 2
    reports = {}
    for template in suite(arguments.suite):
        report = check_template(template, arguments.instances)
        reports[template.id] = report
        out = sys.stderr if arguments.json else sys.stdout
        counts = f"oracle {report.oracle}  no-op {report.no_op}  random {report.random}  near miss {report.near_miss}"
        print(f"{template.id:<32} {counts}  of {report.instances}  max steps {report.max_steps}", file=out)
        for problem in report.problems:
            print(f"  {problem}", file=out)
    if arguments.json:
        print(json.dumps({"suite": arguments.suite, "templates": msgspec.to_builtins(reports)}))
    return 1 if any(report.problems for report in reports.values()) else 0


def _sheet(arguments: argparse.Namespace) -> int:
    count = write_sheet(arguments.out, dark=arguments.dark)
    print(f"{count} screens in {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
