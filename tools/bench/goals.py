"""goals.json as objects: a row is what is measured in one go, a line one of its figures beside that of one other program.

A row is named as on the command line of compare, a workload and its arguments joined by +; a name that goals.json lacks is
measured as the longest beginning of it that is there: skynet+n=100 as skynet.
"""
import json

PLAIN = "plain"  # in "to": weft itself without the row's arguments, in the same run


class Line:
    """One figure of a row. `goals`: {procs: {"must": ratio, "aim": ratio}}, of weft's figure over that of `to`."""

    def __init__(self, spec):
        self.metric, self.unit, self.to = spec["metric"], spec["unit"], spec.get("to", "go")
        self.higher = spec.get("better") == "higher"
        self.goals = {int(p): goal for p, goal in spec["goals"].items()}

    def meets(self, ratio, goal):
        return round(ratio, 2) >= goal if self.higher else round(ratio, 2) <= goal

    def judge(self, ratio, procs):
        """"aim met", "met", "NOT MET", or nothing where there is nothing to judge."""
        goal = self.goals.get(procs, {})
        if ratio is None or "must" not in goal:
            return ""
        if not self.meets(ratio, goal["must"]):
            return "NOT MET"
        return "aim met" if "aim" in goal and self.meets(ratio, goal["aim"]) else "met"


class Row:
    def __init__(self, name, spec):
        self.name = name
        self.workload, *self.args = name.split("+")
        own = {key: value for key, value in spec.items() if key not in ("also", "better", "to", "goals")}
        self.lines = [Line(spec), *(Line({**own, **also}) for also in spec.get("also", []))]
        self.limits, self.scales = spec.get("limits", {}), spec.get("scales", False)

    def runs_at(self, procs):
        sensible = {p for line in self.lines for p in line.goals}
        return procs in sensible or procs > max(sensible) > 1

    def takes(self, peer, workloads):
        """Whether a peer that can do these workloads (None: all) is measured. Arguments ask for what only the peer that the
        row names may be able to do; weft's plain form is a peer where it is named."""
        if self.args or peer == PLAIN:
            return any(line.to == peer for line in self.lines)
        return workloads is None or self.workload in workloads


class Goals:
    def __init__(self, path):
        self.rows = {name: Row(name, spec) for name, spec in json.loads(path.read_text())["workloads"].items()}

    def row(self, name):
        """What holds for a name of the command line, or None."""
        while name and name not in self.rows:
            name = name.rpartition("+")[0]
        return self.rows.get(name)
