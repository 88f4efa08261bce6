#!/usr/bin/env python3
"""Runs the tests of a build folder again and again for a given time, each round plain and with chaos, with a new seed.

  soak.py build/dev --seconds 600 [--jobs 2] [--first-seed 1] [--label stress --label unit] [--filter REGEX]

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
        self.seed = 0  # of this round: WEFT_TEST_SEED, and the chaos runs' too
        self.lock = threading.Lock()
        self.runs = 0
        self.failures = {}

    def one(self, test, chaos):
        if time.monotonic() >= self.deadline:
            return
        extra = {"WEFT_TEST_SEED": str(self.seed)}
        if chaos:
            extra["WEFT_DEBUG"] = f"chaos={self.seed}"
        env = {**os.environ, **test.env, **extra}
        try:
            done = subprocess.run(test.command, env=env, cwd=test.cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=test.timeout, check=False)
            code, output = done.returncode, done.stdout
        except subprocess.TimeoutExpired as late:
            code, output = f"a time limit of {test.timeout:.0f} s", late.stdout or b""
        with self.lock:
            self.runs += 1
            if code not in (0, 77):
                self.report(test, chaos, code, output.decode(errors="replace"), extra)

    def report(self, test, chaos, code, output, extra):
        again = {**{k: v for k, v in test.env.items() if k in OWN_ENV}, **extra}
        words = " ".join(f"{k}={shlex.quote(v)}" for k, v in again.items())
        repeat = f"{words} {shlex.join(test.command)}"
        first = test.name not in self.failures
        self.failures.setdefault(test.name, []).append(repeat)
        if len(self.failures[test.name]) > 3:
            return  # counted; the summary says how often
        print(f"\nFAILED: {test.name} " + (f"chaos seed {self.seed}" if chaos else f"test seed {self.seed}, without chaos") + f", ended with {code}")
        if first:  # the whole text once, later ones are alike
            print("\n".join("    " + line for line in output.splitlines()[-80:]))
        print(f"  again: {repeat}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=0, help="end after so many; 0: only time ends it")
    parser.add_argument("--label", action="append")
    parser.add_argument("--filter", default="")
    arguments = parser.parse_args()

    start = time.monotonic()
    tests = find_tests(arguments.folder, arguments.label or LABELS, arguments.filter)
    if not tests:
        sys.exit("soak: no tests here")
    state = soak(start + arguments.seconds)
    seed, rounds, said = arguments.first_seed, 0, start
    while time.monotonic() < state.deadline and not (arguments.rounds and rounds >= arguments.rounds):
        state.seed = seed
        work = [(t, chaos) for t in tests for chaos in (False, True) if not (chaos and "no-chaos" in t.labels)]
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            list(pool.map(lambda item: state.one(*item), [w for w in work if not w[0].serial]))
        for item in (w for w in work if w[0].serial):
            state.one(*item)
        rounds += time.monotonic() < state.deadline
        if time.monotonic() >= said + 5:
            said = time.monotonic()
            print(f"soak: {said - start:6.0f} s  seed {seed}  {state.runs} runs"
                  + (f"  {len(state.failures)} tests have failed" if state.failures else ""), flush=True)
        seed += 1

    seconds = time.monotonic() - start
    if state.failures:
        print(f"\ndev soak: {len(state.failures)} of {len(tests)} tests failed in {state.runs} runs, {seconds:.0f} s:")
        for name, repeats in sorted(state.failures.items()):
            print(f"  {name}: {len(repeats)} times; for instance\n    {repeats[0]}")
        sys.exit(1)
    print(f"dev soak: all passed: {len(tests)} tests, {rounds} whole rounds, {state.runs} runs, "
          f"seeds {arguments.first_seed} to {seed - 1}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
