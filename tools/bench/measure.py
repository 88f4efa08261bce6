"""Runs one program on one workload and says what came of it, and whether the machine was quiet meanwhile.

The machine counts as quiet when everything else on it took less than a given share of one core (`others_cpu` in each
result, and `steal`, the hypervisor's share), beside 50 ms, for the kernel's clock ticks are coarse.
"""
import contextlib
import json
import os
import resource
import select
import subprocess
import time

IDLE_CONNS = 19_000


class Failed(Exception):
    """The program could not do the workload; the text says why."""


# ---- the machine ----

def machine():
    """What the figures belong to, in one line, without the machine's name."""
    model = "unknown CPU"
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as f:
        for line in f:
            if line.lower().startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
        else:
            model = os.uname().machine
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} core{'s' * (cores != 1)}, {memory:.0f} GiB, Linux {os.uname().release.split('-')[0]}"


def machine_cpu():
    """Seconds that all cores together were busy, and stolen, since boot."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq, steal = map(int, f.readline().split()[1:9])
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / ticks, steal / ticks


def own_cpu():
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def allow_many_files():
    """Raises the limit of open files for the programs that are started, and says how many idle connections fit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return IDLE_CONNS if hard == resource.RLIM_INFINITY else min(IDLE_CONNS, hard - 1_000)


# ---- one run ----

class Measurer:
    def __init__(self, loadgen, secs, quiet, tries, say):
        self.loadgen, self.secs, self.quiet, self.tries, self.say = loadgen, secs, quiet, tries, say

    def measure(self, program, workload, procs, args=()):
        """The result of one run as a dictionary; a run that others disturbed is done again, a few times. Raises Failed."""
        for attempt in range(1, self.tries + 1):
            start, (busy, steal), own = time.monotonic(), machine_cpu(), own_cpu()
            try:
                result = self.once(program, workload, procs, args)
            except (OSError, ValueError, KeyError, subprocess.SubprocessError) as e:
                raise Failed(str(e)) from e
            wall = time.monotonic() - start
            busy_now, steal_now = machine_cpu()
            others = max(0, busy_now - busy - (own_cpu() - own)) / wall
            stolen = (steal_now - steal) / wall
            loud = others + stolen - 0.05 / wall > self.quiet
            if not loud or attempt == self.tries:
                return {**result, "others_cpu": round(others, 3), "steal": round(stolen, 3), "loud": loud}
            self.say(f"others took {others:.2f} of a core, the hypervisor {stolen:.2f}: once more")
            time.sleep(0.5)

    def once(self, program, workload, procs, args):
        if workload.startswith("echo_c"):
            return self.echo(program, procs, int(workload[len("echo_c"):]))
        if workload == "idle_conns":
            return self.idle_conns(program, procs)
        return plain(program, workload, procs, args)

    def echo(self, program, procs, conns):
        with server(program, procs, self.say) as (process, port):
            before = cpu_seconds(process.pid)
            done = subprocess.run([self.loadgen, port, "--conns", str(conns), "--secs", str(self.secs)],
                                  capture_output=True, text=True, timeout=self.secs + 30)
            if done.returncode != 0:
                raise Failed(last_words(done))
            r = json.loads(done.stdout)
            return {"runtime": "", "workload": f"echo_c{conns}", "procs": procs, "n": r.pop("requests"),
                    "ns_per_op": round(1e9 / r["req_per_s"], 1), "peak_rss_kb": status_kb(process.pid, "VmHWM"), **r,
                    "server_cpu_s": round(cpu_seconds(process.pid) - before, 2)}  # with the client's warm-up

    def idle_conns(self, program, procs):
        conns = allow_many_files()
        with server(program, procs, self.say) as (process, port):
            with self.idle_client(port, 10) as (client, _):  # what the first connections load is not theirs
                client.stdin.close()
            time.sleep(0.2)
            before = status_kb(process.pid, "VmRSS")
            with self.idle_client(port, conns) as (client, r):
                time.sleep(0.5)
                after = status_kb(process.pid, "VmRSS")
                files = len(os.listdir(f"/proc/{process.pid}/fd"))
                client.stdin.close()
            if files < conns:
                raise Failed(f"the server holds only {files} files, not {conns}")
            return {"runtime": "", "workload": "idle_conns", "procs": procs, "n": conns, "wall_s": r["open_s"],
                    "ns_per_op": round(r["open_s"] / conns * 1e9, 1), "peak_rss_kb": status_kb(process.pid, "VmHWM"),
                    "bytes_per_conn": round((after - before) * 1024 / conns, 1)}

    @contextlib.contextmanager
    def idle_client(self, port, conns):
        with subprocess.Popen([self.loadgen, port, "--idle", str(conns)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as client:
            try:
                line = read_line(client, 60)
                if not line:
                    client.kill()
                    raise Failed(f"loadgen: {client.stderr.read().strip() or 'the connections were not taken within 60 s'}")
                yield client, json.loads(line)
            except BaseException:
                client.kill()
                raise


def plain(program, workload, procs, args):
    # All programs know --n, and not all n=.
    given = [word for arg in args for word in (("--n", arg[2:]) if arg.startswith("n=") else (arg,))]
    done = subprocess.run([program, workload, "--procs", str(procs), *given], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise Failed(last_words(done))
    return json.loads(done.stdout)


@contextlib.contextmanager
def server(program, procs, say):
    process = subprocess.Popen([program, "echo", "--serve", "--procs", str(procs)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        port = read_line(process, 10)
        if not port:
            raise Failed("the server printed no port")
        yield process, port
    finally:
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            say(f"{os.path.basename(program)} echo --serve went on 5 s after its standard input had ended: killed")
            process.kill()
            process.wait()
        process.stdout.close()


def read_line(process, seconds):
    """A line of what the process prints, or nothing if it prints none in time."""
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return process.stdout.readline().strip() if ready else ""


def last_words(done):
    return done.stderr.strip()[-300:] or f"exit status {done.returncode}"


def status_kb(pid, field):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(field + ":"))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
