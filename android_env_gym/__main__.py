"""`python -m android_env_gym list | check | instructions | sheet | adbd`: tasks, what they are worth, and the phone.

With `--json` the last line of standard output is one JSON object and everything else goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from android_env_gym.errors import UnknownNameError, WrongOpenCvError

try:
    from android_env_gym.phone.adbd.command import add_options, end_signal, server
    from android_env_gym.phone.apps import APPS
    from android_env_gym.phone.sheet import write_sheet
    from android_env_gym.tasks.check import Rate, TemplateReport, check_template, word_match_rate
    from android_env_gym.tasks.instruction_lists import CleaningReport, InstructionFileError
    from android_env_gym.tasks.instructions import PREFIX, read_instructions
    from android_env_gym.tasks.splits import train_twins
    from android_env_gym.tasks.suites import suite, suites, templates
except WrongOpenCvError as error:  # a failure that is explained in one line, though it is an import that fails
    sys.exit(f"error: {error}")

# Fields of a `TemplateReport` as columns.
CHECKS = {
    "oracle": "oracle", "no_op": "no-op", "random": "random", "near_miss": "near miss", "screen_dump": "screen dump",
    "infeasible": "infeasible", "launch_finish": "launch-finish", "word_match": "word match", "vandal": "vandal",
}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except (UnknownNameError, InstructionFileError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m android_env_gym", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="list apps, suites and task templates")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=_list)
    check = commands.add_parser("check", help="run the oracle and every attack on every template of a suite")
    check.add_argument("--suite", default="starter")
    check.add_argument("--instances", type=int, default=5, help="episodes of each kind per template")
    check.add_argument("--json", action="store_true")
    check.set_defaults(run=_check)
    lists = commands.add_parser(
        "instructions",
        help="clean files of instructions and report what was left out",
        description="Report what cleaning leaves out of files of instructions, one a line, and their name as a suite.",
    )
    lists.add_argument("train", metavar="TRAIN.txt", help="one instruction a line; a folder of lists stands alone")
    lists.add_argument("test", metavar="TEST.txt", nargs="?", help="without it, the lines are split by their hash")
    lists.add_argument("--json", action="store_true")
    lists.set_defaults(run=_instructions)
    sheet = commands.add_parser("sheet", help="draw every screen of every app into one PNG")
    sheet.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    sheet.add_argument("--dark", action="store_true", help="use the dark theme")
    sheet.set_defaults(run=_sheet)
    adbd = commands.add_parser(
        "adbd",
        help="serve the embedded phone as an ADB device, until Ctrl-C",
        description='Serve the embedded phone as an ADB device until Ctrl-C or SIGTERM. Prints {"serial": "HOST:PORT"} '
        "for `adb connect`. There is no password: whoever reaches the port operates the phone.",
    )
    add_options(adbd)
    adbd.set_defaults(run=_adbd)
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
    reports: dict[str, TemplateReport] = {}
    found = suite(arguments.suite)
    out = sys.stderr if arguments.json else sys.stdout
    for template in found:
        if not template.needs_world:
            print(f"error: {arguments.suite} has no oracle and no state check to run", file=sys.stderr)
            return 1
        reports[template.id] = check_template(template, arguments.instances)
        for line in _checked(template.id, reports[template.id], heading=len(reports) == 1):
            print(line, file=out)
    matched = _word_match(arguments.suite, reports)
    for name, rate in matched.items():
        told = f"{rate.rate:.1%} [{rate.low:.1%}, {rate.high:.1%}] ({rate.k}/{rate.n})"
        print(f"tapping what shares words with the instruction reaches {told} of suite {name}", file=out)
    twins = {item.id: counted for item in found if (counted := train_twins(item)) is not None}
    print(
        f"test goals whose target is in train with another value: {sum(item.with_twin for item in twins.values())} of "
        f"{sum(item.test_goals for item in twins.values())}, in {len(twins)} templates",
        file=out,
    )
    if arguments.json:
        report = {"suite": arguments.suite, "templates": reports, "word_match": matched, "train_twins": twins}
        print(json.dumps(msgspec.to_builtins(report)))
    return 1 if any(report.problems for report in reports.values()) else 0


def _word_match(suite_name: str, reports: dict[str, TemplateReport]) -> dict[str, Rate]:
    """Return what matching words reaches, per suite of which every template was checked."""
    within = {name: ids for name, ids in suites().items() if set(ids) <= set(reports)} | {suite_name: tuple(reports)}
    return {name: word_match_rate([reports[item] for item in ids]) for name, ids in within.items()}


def _checked(name: str, report: TemplateReport, *, heading: bool) -> Iterator[str]:
    """Yield the lines of a template's report for people."""
    if heading:
        yield f"{'':<30}" + "".join(f"{title:>14}" for title in CHECKS.values())
    counts = (f"{getattr(report, field)}/{report.instances}" for field in CHECKS if field != "vandal")
    yield f"{name:<30}" + "".join(f"{count:>14}" for count in (*counts, f"{report.vandal}/{report.vandalisms}"))
    yield from (f"  {problem}" for problem in report.problems)


def _instructions(arguments: argparse.Namespace) -> int:
    name = PREFIX + ",".join(part for part in (arguments.train, arguments.test) if part is not None)
    report = read_instructions(name).report
    if arguments.json:
        print(json.dumps({"suite": name, **msgspec.to_builtins(report)}))
        return 0
    for line in _cleaned(report):
        print(line)
    print(f'use it with suite="{name}"')
    return 0


def _cleaned(report: CleaningReport) -> Iterator[str]:
    """Yield the lines of a cleaning report for people."""
    columns = ("lines", "blank", "unusable", "duplicates", "overlaps", "train", "test")
    yield "".join(f"{name:>11}" for name in columns) + "  file"
    for file in report.files:
        yield "".join(f"{getattr(file, name):>11}" for name in columns) + f"  {file.path}"
    if len(report.files) > 1:
        yield "".join(f"{getattr(report, name):>11}" for name in columns) + "  all"
    yield (
        f"{report.overlaps} train lines are also test lines and were left out of train, {report.overlaps_verbatim} of "
        "them the same letter by letter, the others but for case, spaces, quotation marks or the final mark"
    )
    for left, kept in report.examples:
        yield f"  {left}" + (f"    (test: {kept})" if kept != left else "")


def _sheet(arguments: argparse.Namespace) -> int:
    count = write_sheet(arguments.out, dark=arguments.dark)
    print(f"{count} screens in {arguments.out}")
    return 0


def _adbd(arguments: argparse.Namespace) -> int:
    ended = end_signal()
    phone = server(arguments)
    try:
        phone.start()
    except OSError as error:
        reason = f"cannot listen on {arguments.host}:{arguments.port}: {error.strerror}"
        print(f"error: {reason}; take another --port (0: a free one) or --host", file=sys.stderr)
        return 1
    try:
        print(json.dumps({"serial": phone.serial}), flush=True)
        ended.wait()
    finally:
        phone.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
