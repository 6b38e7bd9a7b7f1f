"""Feeds Prometheus and VictoriaMetrics what the bench of the telemetry store wrote, asks both the same
questions, and prints everything as one table. Started by bench-telemetry.sh; only the standard library."""

import argparse
import json
import os
import pathlib
import resource
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

# The first moment of 2026, as in the bench.
END = 1_767_225_600
TIMES = 20
QUESTIONS = [
    "1 h at 1 s of one series",
    "24 h of 50 series to 800 columns",
    "top 10 by CPU over 1 h",
    "sum of rates by label over 6 h",
    "p95 over 7 days",
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def size_of(folder):
    return sum(file.stat().st_size for file in pathlib.Path(folder).rglob("*") if file.is_file())


def number_in(path, name, default=float("nan")):
    try:
        for line in pathlib.Path(path).read_text().splitlines():
            if line.startswith(name):
                return float(line.split(":")[1].split()[0])
    except OSError:
        pass
    return default


class Server:
    """A server that is ours to end: started on a free port of loopback, ended by its own handle."""

    def __init__(self, command, ready):
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {self.process.returncode}")
            try:
                urllib.request.urlopen(ready, timeout=2).read()
                return
            except (urllib.error.URLError, OSError):
                if time.monotonic() > deadline:
                    self.end()
                    raise RuntimeError(f"{command[0]} never became ready")
                time.sleep(0.2)

    def figures(self):
        own = f"/proc/{self.process.pid}"
        return {
            "written": number_in(f"{own}/io", "write_bytes"),
            "pss_mb": number_in(f"{own}/smaps_rollup", "Pss:") / 1024,
            "cpu_s": sum(map(int, pathlib.Path(f"{own}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
            / os.sysconf("SC_CLK_TCK"),
        }

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def questions(args):
    """Each as the path and the parameters of Prometheus' HTTP API, which both speak."""
    hour = min(args.wide, 3600)
    step = max(args.deep // 800, 1)
    return [
        ("query_range", {"query": 'agent_cpu_percent{agent="bee-0000"}', "start": END - hour, "end": END - 1, "step": 1}),
        ("query_range", {
            "query": f"sum_over_time(machine_core_cpu_percent[{step}s])",
            "start": END - args.deep + step, "end": END, "step": step,
        }),
        ("query", {"query": f"topk(10, avg_over_time(agent_cpu_percent[{hour}s]))", "time": END}),
        ("query_range", {
            "query": "sum by (kind) (rate(agent_tokens_total[5m]))",
            "start": END - args.wide + 300, "end": END, "step": 300,
        }),
        ("query", {"query": f"quantile_over_time(0.95, machine_cpu_percent[{args.long}s])", "time": END}),
    ]


def ask(base, who, args, figures):
    for name, (path, parameters) in zip(QUESTIONS, questions(args)):
        if "nocache" not in parameters and who == "victoria":
            parameters["nocache"] = 1
        url = f"{base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        times, answer = [], float("nan")
        while len(times) < TIMES and sum(times) < 20_000:
            started = time.perf_counter()
            try:
                body = urllib.request.urlopen(url, timeout=600).read()
            except urllib.error.HTTPError as error:
                figures.append({"who": who, "what": f"{name}: refused", "value": error.code, "unit": ""})
                print(f"{who}: {name}: {error.read(500).decode(errors='replace')}", file=sys.stderr)
                break
            times.append((time.perf_counter() - started) * 1000)
            found = json.loads(body)["data"]["result"]
            answer = sum(float(value) for row in found for _, value in row.get("values", [row.get("value")]))
        if times:
            times.sort()
            for part, at in (("p50", 0.5), ("p95", 0.95)):
                value = times[min(int(len(times) * at), len(times) - 1)]
                figures.append({"who": who, "what": f"{name}: {part}", "value": value, "unit": "ms"})
            figures.append({"who": who, "what": f"{name}: answer", "value": answer, "unit": ""})


def figure(figures, who, what, value, unit):
    figures.append({"who": who, "what": what, "value": value, "unit": unit})


def prometheus(args, samples, figures):
    data = args.work / "prometheus"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [args.promtool, "tsdb", "create-blocks-from", "openmetrics", str(args.work / "openmetrics.txt"), str(data)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"promtool: {done.stderr[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    written = (after.ru_oublock - before.ru_oublock) * 512
    figure(figures, "prometheus", "ingest", samples / cpu / 1e6, "M samples/s of a core")
    figure(figures, "prometheus", "written per sample", written / samples, "B")
    figure(figures, "prometheus", "stored per sample", size_of(data) / samples, "B")
    config = args.work / "prometheus.yml"
    config.write_text("global: {}\n")
    base = f"http://127.0.0.1:{free_port()}"
    server = Server([
        args.prometheus, f"--config.file={config}", f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=100y", f"--web.listen-address={base[7:]}",
        "--query.max-samples=1000000000", "--query.timeout=10m",
    ], f"{base}/-/ready")
    try:
        ask(base, "prometheus", args, figures)
        figure(figures, "prometheus", "memory (PSS)", server.figures()["pss_mb"], "MB")
    finally:
        server.end()


def victoria(args, samples, figures):
    data = args.work / "victoria"
    base = f"http://127.0.0.1:{free_port()}"
    command = [
        args.victoria, f"-storageDataPath={data}", f"-httpListenAddr={base[7:]}", "-retentionPeriod=100y",
        "-search.latencyOffset=0s", "-search.maxPointsPerTimeseries=1000000", "-search.maxQueryDuration=10m",
        "-search.disableCache", "-search.maxSamplesPerQuery=2000000000",
    ]
    server = Server(command, f"{base}/health")
    try:
        # In pieces, as an agent of theirs would send it.
        with open(args.work / "prometheus.txt", "rb") as text:
            while piece := text.read(8 << 20):
                piece += text.readline()
                request = urllib.request.Request(f"{base}/api/v1/import/prometheus", data=piece, method="POST")
                urllib.request.urlopen(request, timeout=600).read()
        urllib.request.urlopen(f"{base}/internal/force_flush", timeout=600).read()
        cpu = server.figures()["cpu_s"]
        figure(figures, "victoria", "ingest", samples / cpu / 1e6, "M samples/s of a core")
        urllib.request.urlopen(f"{base}/internal/force_merge", timeout=600).read()
        time.sleep(5)
        ask(base, "victoria", args, figures)
        now = server.figures()
        figure(figures, "victoria", "written per sample", now["written"] / samples, "B")
        figure(figures, "victoria", "stored per sample", size_of(data) / samples, "B")
        figure(figures, "victoria", "memory (PSS)", now["pss_mb"], "MB")
    finally:
        server.end()


def table(figures):
    who = ["ours", "prometheus", "victoria", "rows"]
    whats = list(dict.fromkeys(it["what"] for it in figures if it["who"] in who))
    cells = {(it["who"], it["what"]): it for it in figures}
    print(f"{'':62}" + "".join(f"{name:>14}" for name in who))
    for what in whats:
        unit = next(it["unit"] for it in figures if it["what"] == what and it["who"] in who)
        label = f"{what} [{unit}]" if unit else what
        values = [cells.get((name, what)) for name in who]
        print(f"{label:62}" + "".join(f"{it['value']:>14,.3f}" if it else f"{'-':>14}" for it in values))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=pathlib.Path, required=True)
    for name in ("prometheus", "promtool", "victoria"):
        parser.add_argument(f"--{name}", default="")
    for name, usual in (("agents", 2000), ("wide", 1800), ("deep", 86_400), ("cores", 4), ("long", 86_400), ("seed", 42)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    args = parser.parse_args()
    lines = (args.work / "figures.jsonl").read_text().splitlines()
    figures = [json.loads(line) for line in lines if line.startswith("{")]
    samples = next(it["value"] for it in figures if it["who"] == "data")
    for name, needed, run in (
        ("Prometheus", args.prometheus and args.promtool, prometheus),
        ("VictoriaMetrics", args.victoria, victoria),
    ):
        if not needed:
            print(f"left out: {name} cannot be had here", file=sys.stderr)
            continue
        try:
            run(args, samples, figures)
        except (RuntimeError, OSError) as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
    table(figures)


if __name__ == "__main__":
    main()
