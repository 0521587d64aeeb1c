"""Measures Python's multiprocessing on request.

A line of standard input is a command with arguments, answered with a line: "ok" and figures, or
"error" and a text.
"""
import multiprocessing
import os
import sys
import time

WORKERS = 2
clock = time.perf_counter
pool = None


def square(n):
    return n * n


def pid(_):
    return os.getpid()


def prove(p, workers=WORKERS, tasks=16):
    """Sees to it that every worker has run a task, and that this process has run none.

    Returns the workers' process ids.
    """
    seen, give_up = set(), clock() + 10
    while len(seen) < workers:
        seen.update(p.map(pid, range(tasks), 1))
        if clock() > give_up:
            raise RuntimeError("not every worker has answered")
    if os.getpid() in seen or len(seen) > workers:
        raise RuntimeError("tasks ran in processes %s" % seen)
    return seen


def check(results):
    if any(v != i * i for i, v in enumerate(results)):
        raise RuntimeError("wrong result")


def open_pool():
    global pool
    pool = multiprocessing.get_context("fork").Pool(WORKERS)
    prove(pool)
    return []


def apply(warm, n):
    """Microseconds a call."""
    for i in range(warm):
        pool.apply(square, (i,))
    t = clock()
    out = [pool.apply(square, (i,)) for i in range(n)]
    t = clock() - t
    check(out)
    return [t / n * 1e6]


def map_squares(n, times):
    """Milliseconds a map, default chunks."""
    inputs = list(range(n))
    pool.map(square, inputs)
    t = clock()
    outs = [pool.map(square, inputs) for _ in range(times)]
    t = clock() - t
    for out in outs:
        check(out)
    return [t / times * 1e3]


def imap(warm, n):
    """Microseconds an element."""
    list(pool.imap_unordered(square, range(warm)))
    t = clock()
    out = list(pool.imap_unordered(square, range(n)))
    t = clock() - t
    check(sorted(out))
    return [t / n * 1e6]


def start(method, times):
    """Milliseconds from Pool() to the first result, each time."""
    ctx, figures = multiprocessing.get_context(method), []
    for _ in range(times):
        t = clock()
        p = ctx.Pool(WORKERS)
        v = p.apply(square, (7,))
        figures.append((clock() - t) * 1e3)
        if v != 49:
            raise RuntimeError("wrong result")
        prove(p)
        p.terminate()
        p.join()
    return figures


def private(pid):
    """How many KiB of a process's memory no other process has."""
    kib = {}
    with open("/proc/%d/smaps_rollup" % pid) as f:
        for line in f:
            key, _, rest = line.partition(":")
            kib[key] = rest.split()
    return sum(int(kib[key][0]) for key in ("Private_Clean", "Private_Dirty"))


def memory(times):
    """KiB that each worker has for itself once it has run a task, three alive."""
    ctx, figures = multiprocessing.get_context("spawn"), []
    for _ in range(times):
        with ctx.Pool(3) as p:
            workers = prove(p, 3, 3)
            time.sleep(0.005)  # let them become idle
            figures += map(private, workers)
        p.join()
    return figures


COMMANDS = {
    "pool": open_pool,
    "apply": apply,
    "map": map_squares,
    "imap": imap,
    "fork": lambda times: start("fork", times),
    "spawn": lambda times: start("spawn", times),
    "memory": memory,
}


def main():
    for line in sys.stdin:
        command, *args = line.split()
        try:
            print("ok", *COMMANDS[command](*map(int, args)), flush=True)
        except Exception as e:
            print("error", type(e).__name__, str(e).replace("\n", " "), flush=True)
    if pool is not None:
        pool.terminate()
        pool.join()


if __name__ == "__main__":
    main()
