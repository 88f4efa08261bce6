#!/usr/bin/env python3
# landing_test.py: hazard 24. Where the processor checks indirect jumps, each one must land on an instruction that says so: endbr64
# (x86-64) or bti j (AArch64). weft's switches leave by such jumps, and land behind them, in code that compilers inline anywhere.
# What weft does not do it must not claim: its stacks have no shadow stacks.
# weft-test: procs=1
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

build = pathlib.Path(os.environ["WEFT_BUILD_DIR"])
library = next((p for p in (build / "libweft.a", build / "libweft.so") if p.exists()), None)
if not library or not shutil.which("objdump") or not shutil.which("readelf"):
    sys.exit(77)

x86 = platform.machine() == "x86_64"
SAVE = re.compile(r"\blea\s.*\(%rip\),%rax\s+#\s+([0-9a-f]+)\s") if x86 else re.compile(r"\badr\s+x9, ([0-9a-f]+)\b")
NEXT = re.compile(r"\bpush\s+%rax") if x86 else re.compile(r"\bstp\s+x9, x29")
LANDING = re.compile(r"\bendbr64") if x86 else re.compile(r"\bbti\s+j|\bhint\s+#0x24")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(.*)$")

text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", str(library)], check=True, capture_output=True, text=True).stdout
switches, wrong, first_of = 0, [], {}
for section in text.split("Disassembly of section ")[1:]:
    lines = section.splitlines()
    code, order, expected = {}, [], None
    for line in lines:
        if line.endswith(">:"):
            expected = line.split("<")[1][:-2]
        if m := INSTRUCTION.match(line):
            code[int(m[1], 16)] = m[2]
            order.append(m[2])
            if expected:
                first_of[expected], expected = m[2], None
    for this, following in zip(order, order[1:]):
        if (m := SAVE.search(this)) and NEXT.search(following):
            switches += 1
            there = code.get(int(m[1], 16), "nothing")
            if not LANDING.search(there):
                wrong.append(f"{this}: lands on {there}")
if not LANDING.search(first_of.get("weft_gostart", "")):
    wrong.append("weft_gostart begins with " + first_of.get("weft_gostart", "nothing"))
if switches < 3:
    wrong.append(f"only {switches} switches are found: does this test still know what one looks like?")

if x86:  # what one object does not claim, no program that it is linked into does
    start = next(build.glob("src/arch/**/gostart.S.o"))
    notes = subprocess.run(["readelf", "-n", str(start)], check=True, capture_output=True, text=True).stdout
    claims = re.findall(r"x86 feature: (.*)", notes)
    if claims != ["IBT"]:
        wrong.append(f"the switch's object claims {claims}, not IBT alone")

for line in wrong:
    print("landing:", line)
print(f"landing: {switches} switches, {len(wrong)} wrong")
sys.exit(1 if wrong else 0)
