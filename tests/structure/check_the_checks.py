#!/usr/bin/env python3
"""The structure checks find what they are for. A check that passes everything is worse than none: everybody trusts it."""
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
failures = []


def run(check, files):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        tree = {
            "CMakeLists.txt": "set(WEFT_LAYERS base os work sched)\n",
            "src/base/CMakeLists.txt": "weft_layer(base\n  NEEDS\n  SOURCES)\n",
            "src/base/bits.hpp": "#pragma once\n",
            "src/work/CMakeLists.txt": "weft_layer(work\n  NEEDS   base  # sched is no need\n  SOURCES runq.cpp)\n",
            "src/work/runq.hpp": '#pragma once\n#include <atomic>\n#include "base/bits.hpp"\n',
            "src/sched/CMakeLists.txt": "weft_layer(sched NEEDS base work SOURCES)\n",
            "src/sched/park.hpp": '#include <weft/go.hpp>\n#include "base/bits.hpp"\n#include "work/runq.hpp"\n',
            "include/weft/go.hpp": "#include <utility>\n",
        }
        tree.update(files)
        for name, text in tree.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        done = subprocess.run([sys.executable, ROOT / "tools/check" / f"{check}.py", "--root", root],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


def expect(what, check, files, code, *texts):
    got, output = run(check, files)
    if got != code or any(text not in output for text in texts):
        failures.append(f"{what}: ended with {got}, should be {code} with {texts}\n{output}")


expect("a good tree passes", "layers", {}, 0, "3 layers, 0 errors, 0 notes")
expect("an include that goes up", "layers", {"src/work/runq.hpp": '#include "sched/park.hpp"\n'}, 1, "higher layer")
expect("an include that is lower but not needed", "layers",
       {"src/os/CMakeLists.txt": "weft_layer(os NEEDS base SOURCES)\n", "src/os/futex.hpp": '#include "base/bits.hpp"\n',
        "src/work/runq.hpp": '#include "base/bits.hpp"\n#include "os/futex.hpp"\n'}, 1, "its NEEDS has no os")
expect("a need that is higher", "layers",
       {"src/work/CMakeLists.txt": "weft_layer(work NEEDS base sched SOURCES)\n"}, 1, "not a lower layer")
expect("a public header that shows src/", "layers", {"include/weft/go.hpp": '#include "work/runq.hpp"\n'}, 1, "only <...>")
expect("src/ in a public header's angle brackets", "layers", {"include/weft/go.hpp": "#include <work/runq.hpp>\n"}, 1, "of src/")
expect("a folder that is no layer", "layers", {"src/extra/CMakeLists.txt": "weft_layer(extra)\n"}, 1, "not in WEFT_LAYERS")
expect("a file that is not there", "layers", {"src/work/runq.hpp": '#include "base/none.hpp"\n'}, 1, "no file of src/")

PAIR = "a.load(std::memory_order_acquire);  // [mo:x.y]\n"
expect("a tag with a partner", "mo_pairs", {"src/work/runq.hpp": PAIR, "src/work/runq.cpp": PAIR}, 0, "0 without a partner")
expect("a lonely tag", "mo_pairs", {"src/work/runq.hpp": PAIR}, 1, "[mo:x.y] has no partner")
expect("own needs no partner", "mo_pairs", {"src/work/runq.hpp": "a.load(std::memory_order_relaxed);  // [mo:own]\n"}, 0)
expect("an order without a tag", "mo_pairs", {"src/work/runq.hpp": "a.load(std::memory_order_acquire);\n"}, 0, "no tag: src/work")

expect("a long file", "sizes", {"src/work/runq.cpp": "// runq.cpp: long.\n" + "int x;\n" * 801}, 1, "802 lines")
expect("a long file that says why", "sizes",
       {"src/work/runq.cpp": "// runq.cpp: one file because it is.\n" + "int x;\n" * 801}, 0, "1 notes")

expect("ids in names and comments", "conformance",
       {"tests/unit/a_test.cpp": "// " + "SCHED" + "-01, " + "SCHED" + "-02\nTEST(chan, " + "CHAN" + "_03_x) {}\n"}, 0,
       "SCHED        2  01-02", "CHAN         1  03", "3 ids")

HAZARDS = "".join(f"| {n} | x | y | not yet |\n" for n in ["1", "1b", *range(2, 26)])
MECHANISMS = "".join(f"| {n} | x | `work/runq.hpp` | not yet |\n" for n in range(1, 61))
COVERAGE = f"## Hazards\n{HAZARDS}## Mechanisms\n{MECHANISMS}"
expect("all rows", "coverage", {"docs/coverage.md": COVERAGE}, 0, "86 rows, 86 without a test, 0 errors")
expect("a row less", "coverage", {"docs/coverage.md": COVERAGE.replace("| 1b |", "| 1 |")}, 1, "row 1 is there 2 times", "row 1b is there 0")
expect("a test that does not exist", "coverage", {"docs/coverage.md": COVERAGE.replace("| not yet", "| `unit/a_test.cpp`", 1)}, 1, "does not exist")
expect("a test of another name", "coverage",
       {"docs/coverage.md": COVERAGE.replace("| not yet", "| `unit/a_test.cpp:holds`", 1), "tests/unit/a_test.cpp": "TEST(a, does_not) {}\n"},
       1, "has no holds")

for failure in failures:
    print("FAILED:", failure)
print("check_the_checks:", "failed" if failures else "all passed")
sys.exit(bool(failures))
