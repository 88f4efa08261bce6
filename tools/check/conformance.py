#!/usr/bin/env python3
"""Lists the behaviours that tests name by id (SCHED_01 in a test's name or SCHED-01 in its comment), and where.

Prints how many of each area, with the numbers. `--where` prints the tests, `--missing SCHED-01..16,CHAN-01..20` lists what no
test names and fails if there is any.
"""
import argparse
import collections
import pathlib
import re
import sys

ID = re.compile(r"(?<![A-Za-z0-9])([A-Z]{3,12})[-_](\d{2})(?!\d)")
# Words that look like an area and are none.
NOT_AREAS = {"UTF", "ISO", "SHA", "RFC", "WEFT"}


def collect(root):
    found = collections.defaultdict(set)
    for folder in (root / "tests", root / "examples"):
        for path in sorted(folder.rglob("*")):
            if path.suffix not in {".cpp", ".hpp", ".py", ".sh", ".txt"} or not path.is_file():
                continue
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                for area, digits in ID.findall(line):
                    if area not in NOT_AREAS:
                        found[(area, int(digits))].add(f"{path.relative_to(root)}:{number}")
    return found


def expand(spec):
    for part in filter(None, spec.split(",")):
        match = re.fullmatch(r"([A-Z]+)-(\d+)(?:\.\.(\d+))?", part.strip())
        if not match:
            sys.exit(f"conformance: {part}: write AREA-NN or AREA-NN..MM")
        for number in range(int(match[2]), int(match[3] or match[2]) + 1):
            yield match[1], number


def ranges(numbers):
    numbers, out = sorted(numbers), []
    for number in numbers:
        if out and out[-1][1] == number - 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return " ".join(f"{a:02}" if a == b else f"{a:02}-{b:02}" for a, b in out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--where", action="store_true", help="also print where each id is named")
    parser.add_argument("--missing", default="", metavar="IDS", help="fail if no test names one of these")
    arguments = parser.parse_args()

    found = collect(arguments.root)
    if arguments.where:
        for (area, number), places in sorted(found.items()):
            print(f"{area}-{number:02}", *sorted(places))
    areas = collections.defaultdict(list)
    for area, number in found:
        areas[area].append(number)
    for area in sorted(areas):
        print(f"conformance: {area:<10} {len(areas[area]):>3}  {ranges(areas[area])}")
    print(f"conformance: {len(found)} ids are named by tests")
    missing = [f"{area}-{number:02}" for area, number in expand(arguments.missing) if (area, number) not in found]
    if missing:
        print("conformance: no test names", *missing)
    sys.exit(bool(missing))


if __name__ == "__main__":
    main()
