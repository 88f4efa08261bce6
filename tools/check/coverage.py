#!/usr/bin/env python3
"""Checks docs/coverage.md: every row of the two lists is there once, and whatever it names in backticks exists.

A name with a slash is a file, seen from tests/, src/, include/ or the root; `file:word` also asks that the file has that word.
"""
import argparse
import pathlib
import re
import sys

WANTED = {
    "Hazards": ["1", "1b"] + [str(n) for n in range(2, 26)],
    "Mechanisms": [str(n) for n in range(1, 61)],
}
NAME = re.compile(r"`([\w.+-]+(?:/[\w.+-]+)+)(?::(\w+))?`")
EMPTY = {"", "-"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    root = parser.parse_args().root

    errors, rows, open_rows, section = [], {name: [] for name in WANTED}, 0, None
    for number, line in enumerate((root / "docs/coverage.md").read_text().splitlines(), 1):
        if line.startswith("## "):
            section = line[3:]
        if section not in rows or not line.startswith("| ") or line.startswith("| row "):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows[section].append(cells[0])
        if len(cells) != 4 or EMPTY & set(cells):
            errors.append(f"{number}: a row has four cells with something in each")
            continue
        open_rows += cells[3] == "not yet"
        if cells[3] != "not yet" and "`" not in cells[3]:
            errors.append(f"{number}: the last cell names a test, or says: not yet")
        for path, word in NAME.findall(line):
            places = [root / "tests" / path, root / "src" / path, root / "include" / path, root / path]
            found = next((place for place in places if place.is_file()), None)
            if not found:
                errors.append(f"{number}: {path} does not exist")
            elif word and not re.search(rf"\b{word}\b", found.read_text()):
                errors.append(f"{number}: {path} has no {word}")
    for name, wanted in WANTED.items():
        for row in wanted:
            if rows[name].count(row) != 1:
                errors.append(f"{name}: row {row} is there {rows[name].count(row)} times")
        errors += [f"{name}: what is row {row}?" for row in rows[name] if row not in wanted]

    for error in errors:
        print("coverage: docs/coverage.md:", error)
    print(f"coverage: {sum(map(len, rows.values()))} rows, {open_rows} without a test, {len(errors)} errors")
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main())
