#!/usr/bin/env python3
"""Checks the lengths of files: past 800 lines a file says in its top comment why it is still one ("one file because ...")."""
import argparse
import pathlib
import sys

LIMIT, LOOK = 800, 500
FOLDERS = ("include", "src", "tests", "bench", "examples", "tools", "cmake")
SUFFIXES = {".hpp", ".cpp", ".S", ".py", ".sh", ".cmake", ".txt"}


def top_comment(lines):
    top = []
    for line in lines:
        if line.strip() and not line.lstrip().startswith(("//", "#", "/*", "*", '"""')):
            break
        top.append(line.strip(" \t/*#"))
    return " ".join(top)


def check(root):
    errors, notes, count = [], [], 0
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in SUFFIXES or not path.is_file():
                continue
            lines = path.read_text(errors="replace").splitlines()
            where, count = path.relative_to(root), count + 1
            if path.suffix == ".txt" and path.name != "CMakeLists.txt":
                continue  # data
            if len(lines) > LIMIT and "one file because" not in top_comment(lines):
                errors.append(f'{where}: {len(lines)} lines, and its top comment has no "one file because"')
            elif len(lines) > LOOK:
                notes.append(f"{where}: {len(lines)} lines; is there a second idea in it?")
    return errors, notes, count


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    errors, notes, count = check(parser.parse_args().root)
    for note in notes:
        print(f"sizes: note: {note}")
    for error in errors:
        print(f"sizes: {error}")
    print(f"sizes: {count} files, {len(errors)} errors, {len(notes)} notes")
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
