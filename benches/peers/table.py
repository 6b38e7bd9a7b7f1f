"""Turns the figures of all rounds into one Markdown table of medians, with what they depend on."""

import argparse
import collections
import datetime
import json
import os
import pathlib
import platform
import statistics

NAMES = {
    "hivekeeper-instant": "Hivekeeper, instant agent",
    "hivekeeper-process": "Hivekeeper, a supervised process per mission",
    "celery": "Celery + Redis",
    "prefect": "Prefect server",
}
SETTINGS = {
    "hivekeeper-instant": "every change one SQLite transaction, WAL, synchronous=FULL; the agent's "
    "program is not started: its process and exit records are laid down by the bench",
    "hivekeeper-process": "the same, with the real shim and an agent program that ends at once",
    "celery": "task_acks_late, task_track_started, prefork worker with concurrency 2; Redis as broker "
    "and result store, appendonly yes, appendfsync always, no RDB snapshots",
    "prefect": "SQLite as it comes (WAL, synchronous=NORMAL), no UI; four awaited requests per life",
}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("figures", type=pathlib.Path)
    parser.add_argument("--version", action="append", default=[])
    parser.add_argument("--disk", default="unknown")
    parser.add_argument("--notes", type=pathlib.Path)
    return parser.parse_args()


def machine():
    """The processor's name and number of cores, and how busy the machine was of late."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{(models or [platform.machine()])[0]}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.release()}; load average at the end {load}"
    )


def medians(figures):
    """Medians over the rounds, by system and number in flight."""
    groups = collections.defaultdict(list)
    for figure in figures:
        groups[figure["system"], figure["in_flight"]].append(figure)
    return {
        key: {
            "rounds": len(group),
            "lives": sum(figure["lives"] for figure in group),
            "failed": sum(figure.get("failed", 0) for figure in group),
            "spread": (min(f["per_second"] for f in group), max(f["per_second"] for f in group)),
            **{
                name: statistics.median(figure[name] for figure in group)
                for name in ("per_second", "p50_ms", "p99_ms")
            },
        }
        for key, group in groups.items()
    }


def main():
    wanted = arguments()
    figures = [json.loads(line) for line in wanted.figures.read_text().splitlines()]
    found = medians(figures)
    disk = found.pop(("disk", 1), None)
    today = datetime.datetime.now(datetime.timezone.utc).date()
    print(f"Measured {today} on: {machine()}.")
    if disk:
        print(
            f"Data on {wanted.disk}; 4 KiB written and flushed there: p50 {disk['p50_ms']:.2f} ms, "
            f"p99 {disk['p99_ms']:.2f} ms (medians of {disk['rounds']} rounds, {disk['lives']} writes)."
        )
    print()
    print("| in flight | system | lives/s, median (min to max) | p50 | p99 | instant ÷ this | lives | failed | rounds |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|---:|")
    for in_flight in sorted({key[1] for key in found}):
        ours = found.get(("hivekeeper-instant", in_flight))
        for system, name in NAMES.items():
            row = found.get((system, in_flight))
            if row is None:
                continue
            ratio = f"{ours['per_second'] / row['per_second']:.1f}" if ours else "-"
            low, high = row["spread"]
            print(
                f"| {in_flight} | {name} | {row['per_second']:.0f} ({low:.0f} to {high:.0f}) "
                f"| {row['p50_ms']:.1f} ms | {row['p99_ms']:.1f} ms | {ratio} "
                f"| {row['lives']} | {row['failed']} | {row['rounds']} |"
            )
    print("\nSettings:")
    for system in sorted({key[0] for key in found}, key=list(NAMES).index):
        print(f"- {NAMES[system]}: {SETTINGS[system]}.")
    print("\nVersions: " + "; ".join(wanted.version) + ".")
    if wanted.notes:
        print("\nLeft out:")
        for note in wanted.notes.read_text().splitlines():
            print(f"- {note}")


if __name__ == "__main__":
    main()
