"""Measures Python's multiprocessing on request.

A line of standard input is a command with arguments, answered with a line: "ok" and figures, or
"error" and a text.
"""
import multiprocessing
import os
import sys
import threading
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


def in_processes(laps, n):
    """Runs each lap(n) in a process, all at the same time, after a tenth of it to warm up.

    What a lap returns, if it returns something, is called when the time has been taken: to
    check what was done. Returns the nanoseconds from the first begin to the last end, and the
    processes' ids.
    """
    ctx = multiprocessing.get_context("fork")
    gate, out = ctx.Barrier(len(laps)), ctx.SimpleQueue()

    def run(lap):
        check(lap(n // 10))
        gate.wait()
        begin = time.monotonic_ns()
        done = lap(n)
        end = time.monotonic_ns()
        check(done)
        out.put((os.getpid(), begin, end))

    def check(done):
        if done is not None:
            done()

    started = [ctx.Process(target=run, args=(lap,)) for lap in laps]
    for p in started:
        p.start()
    for p in started:
        p.join()
        if p.exitcode != 0:
            raise RuntimeError("a process has failed")
    pids, begins, ends = zip(*[out.get() for _ in started])
    if set(pids) != {p.pid for p in started}:
        raise RuntimeError("wrong processes")
    return max(ends) - min(begins), pids


def counted(got, want):
    if got != want:
        raise RuntimeError("counted to %d instead of %d" % (got, want))


def lock(processes, n):
    """Nanoseconds a pair of acquire and release, or pairs a second of several processes."""
    ctx = multiprocessing.get_context("fork")
    lock, counter = ctx.Lock(), ctx.RawArray("q", 1)
    view = memoryview(counter).cast("B").cast("q")  # faster than ctypes

    def alone(n):
        acquire, release = lock.acquire, lock.release
        for _ in range(n):
            acquire()
            release()
        view[0] += n  # not in the loop, where it takes half as long as the lock

    def together(n):
        acquire, release = lock.acquire, lock.release
        for _ in range(n):
            acquire()
            view[0] += 1
            release()

    lap = alone if processes == 1 else together
    ns, pids = in_processes([lap] * processes, n)
    counted(view[0], processes * (n + n // 10))
    return [ns / n if processes == 1 else processes * n / ns * 1e9, *pids]


def value(n):
    """Additions a second to a Value with its lock."""
    number = multiprocessing.get_context("fork").Value("q", 0)

    def lap(n):
        for _ in range(n):
            with number.get_lock():
                number.value += 1

    ns, pids = in_processes([lap] * WORKERS, n)
    counted(number.value, WORKERS * (n + n // 10))
    return [WORKERS * n / ns * 1e9, *pids]


def element(i, who):
    """64 bytes that tell its number, and who has put it."""
    return i.to_bytes(8, "little") + who.to_bytes(8, "little") + bytes(48)


def number(e):
    return int.from_bytes(e[:8], "little"), int.from_bytes(e[8:16], "little")


def queue(pairs, n):
    """Elements a second through a Queue into which some put and from which as many get."""
    ctx = multiprocessing.get_context("fork")
    q, sums = ctx.Queue(), ctx.RawArray("q", pairs)
    elements = [[element(i, who) for i in range(n)] for who in range(pairs)]

    def putter(who):
        def lap(n):
            put = q.put
            for e in elements[who][:n]:
                put(e)

        return lap

    def getter(k):
        def lap(n):
            get = q.get
            got = [get() for _ in range(n)]
            return lambda: check(k, got)

        return lap

    def check(k, got):
        following = [0] * pairs
        for e in got:
            i, who = number(e)
            if i < following[who]:
                raise RuntimeError("wrong order")
            following[who] = i + 1
            sums[k] += i

    ns, pids = in_processes([make(i) for i in range(pairs) for make in (putter, getter)], n)
    counted(sum(sums), pairs * (sum(range(n)) + sum(range(n // 10))))
    return [pairs * n / ns * 1e9, *pids]


LARGE = 1 << 20
larges = []


def make_larges(n):
    """Sees to it that there are n distinct large ones, which tell their numbers at both ends."""
    middle = bytes(range(256)) * (LARGE // 256 - 1) + bytes(240)
    for i in range(len(larges), n):
        larges.append(i.to_bytes(8, "little") + middle + i.to_bytes(8, "little"))
    return larges[:n]


def queue_large(n):
    """Bytes a second through a Queue, in elements of 1 MiB."""
    q, distinct = multiprocessing.get_context("fork").Queue(), make_larges(64)

    def put(n):
        for i in range(n):
            q.put(distinct[i % len(distinct)])

    def get(n):
        for i in range(n):
            e, want = q.get(), distinct[i % len(distinct)]
            if len(e) != LARGE or e[:8] != want[:8] or e[-8:] != want[-8:]:
                raise RuntimeError("wrong element")

    ns, pids = in_processes([put, get], n)
    return [n * LARGE / ns * 1e9, *pids]


def pipe(n):
    """Messages a second of 64 bytes, one way."""
    receiver, sender = multiprocessing.get_context("fork").Pipe(False)
    messages = [element(i, 0) for i in range(n)]

    def send(n):
        send_bytes = sender.send_bytes
        for m in messages[:n]:
            send_bytes(m)

    def receive(n):
        recv_bytes = receiver.recv_bytes
        got = [recv_bytes() for _ in range(n)]
        return lambda: check(got)

    def check(got):
        if got != messages[: len(got)]:
            raise RuntimeError("wrong messages")

    ns, pids = in_processes([send, receive], n)
    return [n / ns * 1e9, *pids]


def fresh(b):
    return bytes(memoryview(b))


def echo(n, times):
    """Milliseconds a map of large ones to copies of them."""
    inputs, took = make_larges(n), 0
    for i in range(1 + times):
        t = clock()
        out = pool.map(fresh, inputs)
        if i > 0:
            took += clock() - t
        if out != inputs:
            raise RuntimeError("wrong result")
    return [took / times * 1e3]


manager = None


def manage():
    """The manager, which stays."""
    global manager
    if manager is None:
        manager = multiprocessing.get_context("fork").Manager()
        if manager._process.pid == os.getpid():
            raise RuntimeError("the manager is this process")
    return manager


def manager_dict(threads, n):
    """Operations a second of threads that each set a key and get it, n times."""
    d = manage().dict()

    def lap(key, n, wrong):
        for i in range(n):
            d[key] = i
            if d[key] != i:
                wrong.append(key)

    def laps(n):
        wrong = []
        if threads == 1:
            lap(0, n, wrong)
        else:
            started = [threading.Thread(target=lap, args=(key, n, wrong)) for key in range(threads)]
            for t in started:
                t.start()
            for t in started:
                t.join()
        if wrong or len(d) != threads:
            raise RuntimeError("wrong values")

    laps(n // 10)
    t = clock()
    laps(n)
    return [2 * threads * n / (clock() - t)]


def manager_list(n):
    """Appends a second."""
    warm, l = manage().list(), manage().list()
    for i in range(n // 10):
        warm.append(i)
    t = clock()
    for i in range(n):
        l.append(i)
    t = clock() - t
    counted(len(l), n)
    return [n / t]


def manager_batch(entries, times):
    """Microseconds to set all entries of a dict."""
    d, entries = manage().dict(), {"key %d" % i: i for i in range(entries)}
    for i in range(times // 10):
        d.update(entries)
    t = clock()
    for i in range(times):
        d.update(entries)
    t = clock() - t
    counted(len(d), len(entries))
    return [t / times * 1e6]


def manager_start(times):
    """Milliseconds from Manager() to the first operation, each time."""
    figures = []
    for _ in range(times):
        t = clock()
        with multiprocessing.get_context("fork").Manager() as m:
            d = m.dict()
            d[1] = 1
            figures.append((clock() - t) * 1e3)
    return figures


COMMANDS = {
    "pool": open_pool,
    "apply": apply,
    "map": map_squares,
    "imap": imap,
    "fork": lambda times: start("fork", times),
    "spawn": lambda times: start("spawn", times),
    "memory": memory,
    "lock": lambda n: lock(1, n),
    "lock-2": lambda n: lock(WORKERS, n),
    "value": value,
    "queue": queue,
    "queue-large": queue_large,
    "pipe": pipe,
    "echo": echo,
    "manager-dict": manager_dict,
    "manager-list": manager_list,
    "manager-batch": manager_batch,
    "manager-start": manager_start,
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
    if manager is not None:
        manager.shutdown()


if __name__ == "__main__":
    main()
