#!/usr/bin/env python3
"""An agent that runs elsewhere: runs COMMAND for each mission Hivekeeper has for it.

    HIVEKEEPER_URL=http://127.0.0.1:7171 HIVEKEEPER_TOKEN=hk_t_... ./attached_agent.py NAME COMMAND...

The token is the agent's own, or an operator's, which registers it. The command gets what the agent is
told on standard input, runs in the mission's directory, and says by exit code 0 that it is done."""
import contextlib, json, os, signal, subprocess, sys, tempfile, time, urllib.error, urllib.request

URL = os.environ["HIVEKEEPER_URL"].rstrip("/") + "/api/v1/attached"
TOKEN, NAME, COMMAND = os.environ["HIVEKEEPER_TOKEN"], sys.argv[1], sys.argv[2:]

def call(path, **body):
    head = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), head, method="POST")
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503):
                raise SystemExit(f"{path}: {error.read().decode()}") if error.code != 409 else error
        except OSError: pass  # The engine is being started again; the lease lives on.
        time.sleep(1)

def work(lease):
    mine = {"attempt": lease["attempt"], "fence": lease["fence"]}
    told, said, stop = tempfile.TemporaryFile(), tempfile.TemporaryFile(), False
    told.write(lease["prompt"].encode()); told.seek(0)
    child = subprocess.Popen(COMMAND, cwd=lease["directory"], stdin=told, stdout=said,
                             stderr=subprocess.STDOUT, start_new_session=True)
    try:
        while child.poll() is None:
            word = call("/heartbeat", attempt=lease["attempt"])
            stop = stop or word["say"] == "stop"
            os.killpg(child.pid, signal.SIGSTOP if word["say"] == "hold" else signal.SIGCONT)
            if stop: os.killpg(child.pid, signal.SIGTERM)
            if word["say"] == "messages":
                inbox = call("/messages", **mine)["messages"]
                print(*(f"{it['from']}: {it['text']}" for it in inbox), sep="\n", flush=True)
                call("/messages", **mine, done=[it["id"] for it in inbox])
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=1 if stop else word["next_within_s"])
    except urllib.error.HTTPError: stop = True  # The lease has ended.
    finally:
        if child.poll() is None: os.killpg(child.pid, signal.SIGKILL)
    said.seek(max(0, said.seek(0, os.SEEK_END) - 4000))
    output = said.read().decode(errors="replace").strip() or "(it printed nothing)"
    done = child.wait() == 0 and not stop
    with contextlib.suppress(urllib.error.HTTPError):  # It may be asked to stop in this moment.
        if not stop: call("/evidence", **mine, name="output of the command", text=output)
    print(call("/finish", **mine, completed=done, summary=output[-400:]), flush=True)

TOKEN = call("", name=NAME, lost_after_s=6)["token"] or TOKEN
while True:
    try:
        lease = call("/lease", wait_s=25)["lease"]
        work(lease) if lease else time.sleep(1)  # Where too many wait, the answer comes at once.
    except urllib.error.HTTPError as late:
        print("the lease has ended:", late.read().decode(), flush=True)
