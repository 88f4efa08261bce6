#!/usr/bin/env python3
"""Checks the tags of memory orders.

A comment tag [mo:runq.head] names one pairing; both ends carry it. [mo:own] marks an access that needs no partner.
  error    a tag that stands at only one place: an end without its partner
  warning  an explicit acquire, release, acq_rel or seq_cst without a tag on its line or the three lines above
With --strict warnings are errors.
"""
import argparse
import collections
import pathlib
import re
import sys

TAG = re.compile(r"\[mo:([A-Za-z0-9_.\-]+)\]")
ORDER = re.compile(r"memory_order(?:_|::)(acquire|release|acq_rel|seq_cst)\b")
ABOVE = 3


def check(root):
    places = collections.defaultdict(list)
    untagged = []
    for folder in ("include", "src"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in {".hpp", ".cpp", ".h", ".S"}:
                continue
            where = path.relative_to(root)
            lines = path.read_text(errors="replace").splitlines()
            for number, line in enumerate(lines, 1):
                for tag in TAG.findall(line):
                    places[tag].append(f"{where}:{number}")
                code = line.split("//")[0]
                if ORDER.search(code) and not any(TAG.search(near) for near in lines[max(0, number - 1 - ABOVE):number]):
                    untagged.append(f"{where}:{number}: {code.strip()}")
    lonely = {tag: where[0] for tag, where in places.items() if tag != "own" and len(where) < 2}
    return places, lonely, untagged


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--list", action="store_true", help="print every tag with its places")
    arguments = parser.parse_args()
    places, lonely, untagged = check(arguments.root)
    if arguments.list:
        for tag in sorted(places):
            print(f"[mo:{tag}]", *places[tag], sep="\n    ")
    for place in untagged:
        print(f"mo_pairs: warning: no tag: {place}")
    for tag, place in sorted(lonely.items()):
        print(f"mo_pairs: {place}: [mo:{tag}] has no partner")
    print(f"mo_pairs: {len(places)} tags, {len(lonely)} without a partner, {len(untagged)} orders without a tag")
    sys.exit(bool(lonely or (arguments.strict and untagged)))


if __name__ == "__main__":
    main()
