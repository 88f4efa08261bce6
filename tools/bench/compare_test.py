#!/usr/bin/env python3
"""compare with programs that are not what they claim: what it prints, writes and ends with can be known beforehand."""
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom
from pathlib import Path

sys.dont_write_bytecode = True
import chart  # noqa: E402
import ranksum  # noqa: E402
from goals import Goals  # noqa: E402

HERE = Path(__file__).resolve().parent


class Ranksum(unittest.TestCase):
    def test_p_is_the_share_of_orders_that_differ_as_much(self):
        draw = random.Random(1)
        for shift in (0, 0.3, 1):
            a, b = [draw.random() for _ in range(5)], [draw.random() + shift for _ in range(4)]
            self.assertAlmostEqual(ranksum.p_value(a, b), share_of_orders(a, b))

    def test_equal_figures_are_no_change(self):
        self.assertEqual(ranksum.p_value([1, 1, 1], [1, 1, 1]), 1)


def share_of_orders(a, b):
    def statistic(x, y):
        return min(sum(p > q for p in x for q in y), sum(p < q for p in x for q in y))

    both, seen = a + b, []
    for chosen in itertools.combinations(range(len(both)), len(a)):
        seen.append(statistic([both[i] for i in chosen], [both[i] for i in range(len(both)) if i not in chosen]))
    return sum(u <= statistic(a, b) for u in seen) / len(seen)


class Chart(unittest.TestCase):
    def test_it_is_well_formed_and_says_what_it_cuts(self):
        text = chart.svg([("Go", [("yield", {1: 0.1}), ("a<b", {1: 7.0, 2: 1.0})])], [1, 2], "title", "sub & title", "footer")
        xml.dom.minidom.parseString(text)
        self.assertIn("7.00 (cut)", text)

    def test_each_side_has_its_bars_and_its_one(self):
        text = chart.svg([("Go", [("yield", {1: 0.1})]), ("a & b", [("fib", {2: 0.5})])], [1, 2], "title", "subtitle", "footer")
        xml.dom.minidom.parseString(text)
        self.assertIn("yield, procs 1: 0.10 of the time of Go<", text)
        self.assertIn("fib, procs 2: 0.50 of the time of a &amp; b<", text)
        self.assertEqual(text.count('class="go"'), 2)


class TheGoals(unittest.TestCase):
    goals = Goals(HERE / "goals.json")

    def test_a_row_with_arguments_has_goals_of_its_own(self):
        self.assertEqual(self.goals.row("fib+tasks=co").lines[0].to, "tbb")
        self.assertEqual(self.goals.row("fib+tasks=co+n=20").args, ["tasks=co"])
        self.assertEqual(self.goals.row("skynet+n=100").name, "skynet")
        self.assertIsNone(self.goals.row("skynets"))

    def test_an_aim_is_further_than_what_must_hold_and_every_line_says_what_it_counts(self):
        for row in self.goals.rows.values():
            for line in row.lines:
                self.assertTrue(line.unit and line.metric and line.to in ("go", "tbb", "plain"), row.name)
                for goal in line.goals.values():
                    self.assertTrue("aim" not in goal or line.meets(goal["aim"], goal["must"]), row.name)


class Compare(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.at = Path(self.folder.name)
        self.readme = self.at / "README.md"
        self.readme.write_text("before\n<!-- bench:table -->\nold\n<!-- /bench:table -->\nafter\n")

    def tearDown(self):
        self.folder.cleanup()

    def program(self, name, body):
        """A program that prints its $ns, and its $more fields, as if it had measured them."""
        path = self.at / name
        path.write_text(f"#!/bin/sh\n{body}\n" + """printf '{"runtime":"?","workload":"%s","procs":%s,"n":1,"wall_s":2,"ns_per_op":%s,"peak_rss_kb":1%s}\\n' "$1" "$3" "$ns" "$more"\n""")
        path.chmod(0o755)
        return path

    def compare(self, *arguments):
        return subprocess.run([sys.executable, HERE / "compare", "--results", self.at / "results", "--readme", self.readme, "--quiet", "99",
                               *arguments], capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})

    def lines(self):
        (file,) = (self.at / "results").glob("*.jsonl")
        return [json.loads(line) for line in file.read_text().splitlines()]

    def test_ratio_to_go_in_turn(self):
        weft, _ = self.program("weft-bench", "ns=10"), self.program("go", "ns=100")
        done = self.compare("--runtime", weft, "--peers-dir", self.at, "--peers", "go", "-w", "yield,fib", "-r", "2", "--publish", "always")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"yield, ns +1 .*10\.0 ±0%.* 100 ±0% +0\.10 Go +0\.15 +0\.09  met\n")
        self.assertRegex(done.stdout, r"fib, ns +2 .* 0\.10 Go +0\.40 +0\.15  aim met\n")
        self.assertEqual([line["runtime"] for line in self.lines()[:4]], ["weft", "go", "weft", "go"])
        self.assertLessEqual({"commit", "machine", "date", "procs", "round"}, set(self.lines()[0]))
        table = self.readme.read_text()
        self.assertTrue(table.startswith("before\n<!-- bench:table -->\n| workload"))
        self.assertTrue(table.endswith("\n<!-- /bench:table -->\nafter\n"))
        self.assertIn("| yield | ns a switch | 10.0 | 100 | **0.10** |", table)
        xml.dom.minidom.parse(str(self.at / "results/latest.svg"))

    def test_coroutines_beside_the_same_without_them(self):
        weft = self.program("weft-bench", 'ns=100; case "$*" in *tasks=co*) ns=60 ;; esac')
        self.program("go", "ns=1")
        done = self.compare("--runtime", weft, "--peers-dir", self.at, "--peers", "go", "-w", "pingpong+tasks=co", "-r", "2", "--publish", "always")
        self.assertRegex(done.stdout, r"pingpong\+tasks=co, ns +2 +60\.0 ±0% +100 ±0% +0\.60 plain weft +0\.70 +met\n")
        self.assertEqual([(line["runtime"], line.get("args")) for line in self.lines()[:4]], [("weft", "tasks=co"), ("weft", None)] * 2)
        self.assertEqual(self.lines()[1]["beside"], "pingpong+tasks=co")
        self.assertIn("| pingpong, tasks=co | ns a round trip | weft without tasks=co | 60.0 | 100 | **0.60** |", self.readme.read_text())

    def test_another_peer_than_go(self):
        weft = self.program("weft-bench", "ns=10")
        self.program("go", "ns=100"), self.program("tbb", 'ns=8; case "$*" in *--n*5) ns=20 ;; esac')
        arguments = ("--runtime", weft, "--peers-dir", self.at, "-w", "parallel_for,fib+tasks=co+n=5", "-r", "1", "--publish", "always", "--check")
        done = self.compare(*arguments, "--peers", "go,tbb")
        self.assertRegex(done.stdout, r"parallel_for, ns +1 .* 0\.10 Go .* aim met\n +1 +1\.25 oneTBB +1\.10 +NOT MET\n")
        self.assertRegex(done.stdout, r"fib\+tasks=co\+n=5, ns +2 +10\.0 ±0% +- +20\.0 ±0% +0\.50 oneTBB +0\.60 +0\.30  met\n")
        self.assertEqual(done.returncode, 1)
        table = self.readme.read_text()
        self.assertIn("| parallel_for | ns a step | 10.0 | 100 | **0.10** | 10.0 | 100 | **0.10** |\n\n", table)
        self.assertIn("| parallel_for | ns a step | oneTBB | 10.0 | 8.00 | **1.25** | 10.0 | 8.00 | **1.25** |\n", table)
        text = (self.at / "results/latest.svg").read_text()
        self.assertIn("parallel_for, procs 2: 1.25 of the time of oneTBB<", text)
        done = self.compare(*arguments, "--peers", "go")
        self.assertEqual(done.returncode, 0, done.stdout)  # nothing is judged by what is not there
        self.assertNotIn("oneTBB", done.stdout + self.readme.read_text())

    def test_two_figures_of_one_run(self):
        weft = self.program("weft-bench", """ns=1; more=',"tick_p99_us":10,"tick_p50_us":9,"other_yields":50'""")
        self.program("go", """ns=1; more=',"tick_p99_us":100,"tick_p50_us":10,"other_yields":20'""")
        done = self.compare("--runtime", weft, "--peers-dir", self.at, "--peers", "go", "-w", "hog,syscall", "-p", "1", "-r", "1", "--publish", "always")
        self.assertRegex(done.stdout, r"hog, tick_p99_us +1 +10\.0 ±0% +100 ±0% +0\.10 Go +0\.30 +0\.05  met\n")
        self.assertRegex(done.stdout, r"hog, tick_p50_us +1 +9\.00 ±0% +10\.0 ±0% +0\.90 Go +0\.50 +NOT MET\n")
        self.assertRegex(done.stdout, r"syscall, other_yields/wall_s +1 +25\.0 ±0% +10\.0 ±0% +2\.50 Go +3\.00 +NOT MET\n")
        self.assertIn("not met: 3\n", done.stdout)  # and the time of a call
        self.assertIn("| hog | us late, median | 9.00 | 10.0 | **0.90** |", self.readme.read_text())
        self.assertEqual(len(self.lines()), 4)

    def test_limits_of_wefts_own_figures(self):
        self.program("go", """ns=1; more=',"bytes_per_task":2600'""")
        for bytes_, word, status in ((200, "met", 0), (201, "NOT MET", 1)):
            weft = self.program("weft-bench", f"""ns=1; more=',"bytes_per_task":{bytes_}'""")
            done = self.compare("--runtime", weft, "--peers-dir", self.at, "--peers", "go", "-w", "parked+tasks=co", "-p", "1", "-r", "1", "--check")
            self.assertIn(f"parked+tasks=co procs 1: bytes_per_task {bytes_}, at most 200: {word}\n", done.stdout)
            self.assertEqual(done.returncode, status)

    def test_part_of_it_leaves_chart_and_table_alone(self):
        weft, _ = self.program("weft-bench", "ns=10"), self.program("go", "ns=100")
        self.compare("--runtime", weft, "--peers-dir", self.at, "--peers", "go", "-w", "yield", "-r", "1")
        self.assertIn("\nold\n", self.readme.read_text())
        self.assertFalse((self.at / "results/latest.svg").exists())

    def test_a_wrong_answer_is_no_figure(self):
        weft = self.program("weft-bench", 'echo "wrong sum: 1, not 2" >&2; exit 1')
        self.program("go", "ns=100")
        done = self.compare("--runtime", weft, "--peers-dir", self.at, "--peers", "go", "-w", "yield", "-r", "2")
        self.assertEqual(done.returncode, 1)
        self.assertIn("wrong sum: 1, not 2", done.stderr)
        self.assertRegex(done.stdout, r"yield, ns +1 +failed +100 ±0%")

    def test_goals_that_must_hold(self):
        weft, _ = self.program("weft-bench", "ns=90"), self.program("go", "ns=100")
        arguments = ("--runtime", weft, "--peers-dir", self.at, "--peers", "go", "-w", "yield", "-r", "1")
        self.assertIn("NOT MET", self.compare(*arguments).stdout)
        self.assertEqual(self.compare(*arguments).returncode, 0)
        self.assertEqual(self.compare(*arguments, "--check").returncode, 1)

    def test_against_an_older_one(self):
        count = 'c=$(cat "$0.count" 2>/dev/null || echo 0); echo $((c + 1)) >"$0.count"'
        old, slower = self.program("old", f"{count}; ns=$((100 + c))"), self.program("slower", f"{count}; ns=$((200 + c))")
        same = self.program("same", f"{count}; ns=$((100 + c))")
        self.assertRegex(self.compare("--against", old, "--runtime", slower, "-w", "yield").stdout, r"WORSE\n")
        self.assertRegex(self.compare("--against", old, "--runtime", old, "-w", "yield", "-r", "4").stdout, r"no change\n")
        self.assertRegex(self.compare("--against", slower, "--runtime", same, "-w", "yield").stdout, r" better\n")

    def test_mistakes_are_named(self):
        self.assertIn('no workload "nosuch"; there are: yield', self.compare("-w", "nosuch").stderr)
        self.assertIn('no peer "java"; there are: go', self.compare("--runtime", self.program("weft-bench", "ns=1"), "--peers", "java").stderr)
        self.assertIn("no program", self.compare("--runtime", self.at / "missing").stderr)


if __name__ == "__main__":
    unittest.main()
