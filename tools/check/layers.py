#!/usr/bin/env python3
"""Checks that includes follow the layers.

A folder of src/ is a layer. The order is WEFT_LAYERS in the top CMakeLists.txt, lowest first; what a layer needs is the NEEDS line
of its own CMakeLists.txt. Rules:
  1. a file in src/<layer>/ includes "<other>/..." only when <other> is itself or in its NEEDS, and every need is lower;
  2. "..." in src/ is spelled from src/ and exists;
  3. <weft/...> exists; public headers include std, the system and <weft/...>, never "..." and never src/;
  4. a need that no file uses is reported as a note.
"""
import argparse
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SOURCES = {".hpp", ".cpp", ".h", ".S", ".inc", ".def"}


def without_comments(text):
    return re.sub(r"#[^\n]*", "", text)


def layer_order(root):
    text = without_comments((root / "CMakeLists.txt").read_text())
    found = re.search(r"set\(WEFT_LAYERS\s+([^)]*)\)", text)
    if not found:
        sys.exit("layers: no set(WEFT_LAYERS ...) in CMakeLists.txt")
    return found[1].split()


def layer_needs(path):
    text = without_comments(path.read_text())
    call = re.search(r"weft_layer\(\s*(\w+)([^)]*)\)", text)
    if not call:
        return None, []
    words, needs, reading = call[2].split(), [], False
    for word in words:
        if word in ("NEEDS", "SOURCES"):
            reading = word == "NEEDS"
        elif reading:
            needs.append(word)
    return call[1], needs


def includes(path):
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found[1], found[2]


def check(root):
    errors, notes = [], []
    order = layer_order(root)
    src, public = root / "src", root / "include"

    needs = {}
    for folder in sorted(p for p in src.iterdir() if p.is_dir()) if src.is_dir() else []:
        lists = folder / "CMakeLists.txt"
        where = lists.relative_to(root)
        if folder.name not in order:
            errors.append(f"src/{folder.name}: not in WEFT_LAYERS")
            continue
        if not lists.exists():
            errors.append(f"src/{folder.name}: has no CMakeLists.txt")
            continue
        name, wanted = layer_needs(lists)
        if name != folder.name:
            errors.append(f"{where}: should call weft_layer({folder.name} ...)")
            continue
        for need in wanted:
            if need not in order or order.index(need) >= order.index(name):
                errors.append(f"{where}: {name} needs {need}, which is not a lower layer")
        needs[name] = wanted

    for layer, wanted in needs.items():
        used = set()
        for path in sorted((src / layer).rglob("*")):
            if path.suffix not in SOURCES:
                continue
            where = path.relative_to(root)
            for line, kind, name in includes(path):
                if kind == "<":
                    if name.startswith("weft/") and not (public / name).exists():
                        errors.append(f"{where}:{line}: no include/{name}")
                    continue
                other = name.split("/")[0]
                if name.startswith("weft/"):
                    errors.append(f'{where}:{line}: public headers are spelled <{name}>')
                elif not (src / name).exists():
                    errors.append(f'{where}:{line}: "{name}" is no file of src/ (spell it from src/)')
                elif other != layer and other not in wanted:
                    higher = order.index(other) > order.index(layer)
                    errors.append(f"{where}:{line}: {layer} includes {name}, " +
                                  ("which is a higher layer" if higher else f"but its NEEDS has no {other}"))
                else:
                    used.add(other)
        for need in wanted:
            if need not in used:
                notes.append(f"src/{layer}/CMakeLists.txt: needs {need}, but includes nothing of it")

    for path in sorted(public.rglob("*.hpp")):
        where = path.relative_to(root)
        for line, kind, name in includes(path):
            if kind == '"':
                errors.append(f'{where}:{line}: "{name}": a public header includes only <...>')
            elif name.startswith("weft/"):
                if not (public / name).exists():
                    errors.append(f"{where}:{line}: no include/{name}")
            elif name.split("/")[0] in order and (src / name).exists():
                errors.append(f"{where}:{line}: <{name}> is of src/")
    return errors, notes, len(needs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    errors, notes, count = check(parser.parse_args().root)
    for note in notes:
        print(f"layers: note: {note}")
    for error in errors:
        print(f"layers: {error}")
    print(f"layers: {count} layers, {len(errors)} errors, {len(notes)} notes")
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
