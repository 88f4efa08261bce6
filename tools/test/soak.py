#!/usr/bin/env python3
"""Runs the tests of a build folder again and again for a given time, each round plain and with chaos, with a new seed.

  soak.py build/dev --seconds 600 [--jobs 2] [--first-seed 1] [--label stress --label unit] [--filter REGEX]
  soak.py build/dev --seeds 100 --label stress    a hundred chaos seeds for every test, spread over its numbers of procs
  soak.py build/dev --rounds 100 --short 0.5      a hundred rounds of the tests that take less than half a second

The tests, their environments and their time limits are those that CTest knows. Every run is a fresh process. A failure is printed
with its output and the command that repeats it, and the soak goes on; it ends with 1 if anything failed.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time

LABELS = ["stress", "unit", "port", "model"]  # the death tests compare exact texts of single runs: again and again adds nothing
OWN_ENV = ("WEFT_PROCS", "WEFT_TRACEBACK", "WEFT_TEST_QUICK")


class test_case:
    def __init__(self, entry):
        properties = {p["name"]: p["value"] for p in entry.get("properties", [])}
        self.name = entry["name"]
        self.command = entry["command"]
        self.labels = properties.get("LABELS", [])
        self.timeout = float(properties.get("TIMEOUT", 60))
        self.serial = bool(properties.get("RUN_SERIAL", False))
        self.cwd = properties.get("WORKING_DIRECTORY", ".")
        self.env = dict(e.split("=", 1) for e in properties.get("ENVIRONMENT", []))


def find_tests(folder, labels, pattern):
    listing = subprocess.run(["ctest", "--test-dir", folder, "--show-only=json-v1"], capture_output=True, text=True, check=True)
    tests = [test_case(t) for t in json.loads(listing.stdout)["tests"] if "command" in t]
    tests = [t for t in tests if set(t.labels) & set(labels) and re.search(pattern, t.name)]
    # Stress first: they are what the time is for.
    return sorted(tests, key=lambda t: (min(labels.index(x) for x in t.labels if x in labels), t.name))


class soak:
    def __init__(self, deadline):
        self.deadline = deadline
        self.lock = threading.Lock()
        self.runs = 0
        self.longest = {}  # by test: the seconds that it took at most
        self.failures = {}

    def one(self, test, seed, chaos):
        """seed: WEFT_TEST_SEED, and that of the chaos."""
        if time.monotonic() >= self.deadline:
            return
        extra = {"WEFT_TEST_SEED": str(seed)}
        if chaos:
            extra["WEFT_DEBUG"] = f"chaos={seed}"
        env = {**os.environ, **test.env, **extra}
        start = time.monotonic()
        try:
            done = subprocess.run(test.command, env=env, cwd=test.cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=test.timeout, check=False)
            code, output = done.returncode, done.stdout
        except subprocess.TimeoutExpired as late:
            code, output = f"a time limit of {test.timeout:.0f} s", late.stdout or b""
        with self.lock:
            self.runs += 1
            self.longest[test.name] = max(self.longest.get(test.name, 0), time.monotonic() - start)
            if code not in (0, 77):
                self.report(test, seed, chaos, code, output.decode(errors="replace"), extra)

    def report(self, test, seed, chaos, code, output, extra):
        again = {**{k: v for k, v in test.env.items() if k in OWN_ENV}, **extra}
        words = " ".join(f"{k}={shlex.quote(v)}" for k, v in again.items())
        repeat = f"{words} {shlex.join(test.command)}"
        first = test.name not in self.failures
        self.failures.setdefault(test.name, []).append(repeat)
        if len(self.failures[test.name]) > 3:
            return  # counted; the summary says how often
        print(f"\nFAILED: {test.name} " + (f"chaos seed {seed}" if chaos else f"test seed {seed}, without chaos") + f", ended with {code}")
        if first:  # the whole text once, later ones are alike
            print("\n".join("    " + line for line in output.splitlines()[-80:]))
        print(f"  again: {repeat}", flush=True)


def a_round(tests, seed):
    """Every test, plain and with chaos."""
    return [(t, seed, chaos) for t in tests for chaos in (False, True) if not (chaos and "no-chaos" in t.labels)]


def seeds_spread_over_procs(tests, first, count):
    """Every program with each of the seeds, at one number of procs."""
    programs = {}
    for t in tests:
        if "no-chaos" not in t.labels:
            programs.setdefault(re.sub(r"\.procs\d+$", "", t.name), []).append(t)
    return [(at[i % len(at)], first + i, True) for i in range(count) for at in programs.values()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--seconds", type=float, default=0, help="600; with --seeds or --rounds: no limit")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=0, help="end after so many; alone no limit of time")
    parser.add_argument("--short", type=float, default=0, metavar="SECONDS",
                        help="after the first round only the tests that took less in it")
    parser.add_argument("--seeds", type=int, default=0, help="one round of so many seeds for each test, with chaos only")
    parser.add_argument("--label", action="append")
    parser.add_argument("--filter", default="")
    arguments = parser.parse_args()

    start = time.monotonic()
    tests = all_tests = find_tests(arguments.folder, arguments.label or LABELS, arguments.filter)
    if not tests:
        sys.exit("soak: no tests here")
    if arguments.seeds:
        arguments.rounds = 1
    if arguments.rounds:
        arguments.seconds = arguments.seconds or 1e9
    state = soak(start + (arguments.seconds or 600))
    seed, rounds, said = arguments.first_seed, 0, start

    def one(item):
        nonlocal said
        state.one(*item)
        if time.monotonic() >= said + 5:
            said = time.monotonic()
            print(f"soak: {said - start:6.0f} s  seed {item[1]}  {state.runs} runs"
                  + (f"  {len(state.failures)} tests have failed" if state.failures else ""), flush=True)

    while time.monotonic() < state.deadline and not (arguments.rounds and rounds >= arguments.rounds):
        work = seeds_spread_over_procs(tests, seed, arguments.seeds) if arguments.seeds else a_round(tests, seed)
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            list(pool.map(one, [w for w in work if not w[0].serial]))
        for item in (w for w in work if w[0].serial):
            one(item)
        rounds += time.monotonic() < state.deadline
        seed += arguments.seeds or 1
        if arguments.short and tests is all_tests and rounds != arguments.rounds:
            tests = [t for t in tests if state.longest.get(t.name, 0) < arguments.short]
            print(f"soak: {len(tests)} of {len(all_tests)} tests take less than {arguments.short} s", flush=True)
            if not tests:
                break

    seconds = time.monotonic() - start
    if state.failures:
        print(f"\ndev soak: {len(state.failures)} of {len(all_tests)} tests failed in {state.runs} runs, {seconds:.0f} s:")
        for name, repeats in sorted(state.failures.items()):
            print(f"  {name}: {len(repeats)} times; for instance\n    {repeats[0]}")
        sys.exit(1)
    print(f"dev soak: all passed: {len(all_tests)} tests, {rounds} whole rounds, {state.runs} runs, "
          f"seeds {arguments.first_seed} to {seed - 1}{'' if rounds else ', cut off by its time'}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
