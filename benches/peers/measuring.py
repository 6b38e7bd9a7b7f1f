"""What every driver shares: its arguments, and the one line of JSON it prints per figure.

A driver keeps N lives in flight for some seconds, lets those under way end, and prints what the
lives took. The time counted is from the first start to the last end.
"""

import argparse
import json
import os
import sys
import tempfile
import time

now = time.perf_counter


def arguments():
    """Reads how many lives are in flight, and for how long."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--warm-up", type=float, default=2.0)
    return parser.parse_args()


def report(system, in_flight, took_s, elapsed_s):
    """Prints one figure; `took_s` holds how long each life took."""
    took_s = sorted(took_s)

    def at(part):
        return round(took_s[int(part * (len(took_s) - 1))] * 1e3, 2)

    figure = {
        "system": system,
        "in_flight": in_flight,
        "lives": len(took_s),
        "seconds": round(elapsed_s, 3),
        "per_second": round(len(took_s) / elapsed_s, 1),
        "p50_ms": at(0.50),
        "p99_ms": at(0.99),
    }
    print(json.dumps(figure), flush=True)


def disk(directory, count=300):
    """Prints how long 4 KiB take to be written and flushed: what every durable step pays for."""
    took = []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        first = now()
        for _ in range(count):
            begun = now()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            took.append(now() - begun)
        report("disk", 1, took, now() - first)


if __name__ == "__main__":
    disk(sys.argv[1])
