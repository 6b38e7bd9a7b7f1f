"""Lives through a day with an engine and keeps one request and answer of each operation of its API.

Called by examples.sh: examples.py PROGRAMS EXAMPLES [OPERATION…]
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

PROGRAMS, EXAMPLES, ONLY = Path(sys.argv[1]), Path(sys.argv[2]), set(sys.argv[3:])
PATIENCE_S = 60
ITEMS_MAX, TEXT_MAX = 2, 400

# What stands for what differs from run to run.
NOW = "2026-03-14T09:26:53.589Z"
PLACE = "/home/ann"
SHORT_IDS = ["M-7K2P", "M-3RWD", "M-9QXH", "M-5TGB", "M-8VNC", "M-2JFM", "M-6ZYS", "M-4HKD", "M-7BNX", "M-3CVQ"]
SECRET = re.compile(r"\b(hk_[a-z]+_|hk_)[A-Za-z0-9_-]{16,}")
FIGURES = re.compile(
    r"(_ms|_ns|_bytes|_percent|_us|cpu\w*|^bytes|^size|^pid|^rss|^load\w*|^seq|^revision|^pages|memory\w*|_total|^mtime|_s)$"
)
KEPT_FIGURES = re.compile(r"^(trash_days|grace_s|backoff_s|timeout_s|wait_s|memory_free_min_percent|expires_in_s|percent|.*_after_s|estimate\w*)$")


class Scrubber:
    """Replaces what differs from run to run, the same by the same."""

    def __init__(self, place):
        self.places = [(str(place), PLACE), (str(PROGRAMS.resolve()), "/usr/local/bin"), (os.path.realpath(place), PLACE)]
        self.known = {}

    def stand_in(self, kind, text, make):
        of_kind = self.known.setdefault(kind, {})
        return of_kind.setdefault(text, make(len(of_kind)))

    def text(self, text):
        for real, shown in self.places:
            text = text.replace(real, shown)
        text = SECRET.sub(lambda it: it.group(1) + "EXAMPLE0EXAMPLE0EXAMPLE0", text)
        text = re.sub(r"#login=[\w-]+", "#login=EXAMPLE0EXAMPLE0", text)
        text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:7171", text)
        text = re.sub(
            r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
            lambda it: self.stand_in("uuid", it.group(0), lambda n: f"019cec1a-2b3c-7d4e-8f50-{n + 1:012x}"),
            text,
        )
        text = re.sub(
            r"\b[0-9a-f]{40}\b",
            lambda it: self.stand_in("commit", it.group(0), lambda n: f"{n + 0xC0FFEE:x}".ljust(40, "0")),
            text,
        )
        text = re.sub(
            r"\b[0-9a-f]{64}\b",
            lambda it: self.stand_in("digest", it.group(0), lambda n: f"{n + 0xD16E57:x}".ljust(64, "0")),
            text,
        )
        text = re.sub(
            r"\bM-[0-9A-HJKMNP-TV-Z]{4,6}\b",
            lambda it: self.stand_in("short", it.group(0), lambda n: SHORT_IDS[n] if n < len(SHORT_IDS) else f"M-9{n:03d}"),
            text,
        )
        text = re.sub(
            r"\bm-[0-9a-hjkmnp-tv-z]{4,6}\b",
            lambda it: self.text(it.group(0).upper()).lower(),
            text,
        )
        text = re.sub(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", NOW, text)
        text = re.sub(r"\b20\d\d-\d\d-\d\d\b(?!T)", NOW[:10], text)
        return text

    def value(self, value, name=""):
        if isinstance(value, dict):
            return {self.text(key): self.value(it, key) for key, it in value.items()}
        if isinstance(value, list):
            return [self.value(it, name) for it in value[:ITEMS_MAX]]
        if isinstance(value, str):
            shown = self.text(value)
            return shown if len(shown) <= TEXT_MAX else shown[:TEXT_MAX] + "…"
        if isinstance(value, bool) or value is None:
            return value
        if FIGURES.search(name) and not KEPT_FIGURES.match(name) and value:
            return 4217 if isinstance(value, int) and not name.endswith("percent") else 42 if isinstance(value, int) else 4.25
        return round(value, 3) if isinstance(value, float) else value


class Refused(Exception):
    """An answer that is none of those hoped for."""


class Engine:
    """A running engine and how it is asked."""

    def __init__(self, place):
        self.place = place
        (place / "bin").mkdir()
        environment = {
            "HOME": str(place),
            "PATH": f"{place / 'bin'}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": str(place / ".gitconfig"),
        }
        self.environment = environment
        self.data = place / ".local/share/hivekeeper"
        self.child = subprocess.Popen(
            [str(PROGRAMS / "hivekeeper"), "serve", "--data-dir", str(self.data)],
            env=environment, stdout=subprocess.PIPE, text=True, cwd=place,
        )
        line = self.child.stdout.readline()
        self.url = line.removeprefix("listening on ").strip()
        self.token = json.loads((self.data / "endpoint.json").read_text())["token"]
        self.scrub = Scrubber(place)
        self.operations = {}
        described = subprocess.run([str(PROGRAMS / "hivekeeper"), "openapi"], check=True, capture_output=True)
        for path, item in json.loads(described.stdout)["paths"].items():
            for method, operation in item.items():
                if "operationId" in operation:
                    self.operations[operation["operationId"]] = (method.upper(), path)
        self.recorded = {}

    def ask(self, method, path, body=None, token=None):
        headers = {"Authorization": f"Bearer {token or self.token}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                status, kind, raw = answer.status, answer.headers.get_content_type(), answer.read()
        except urllib.error.HTTPError as refusal:
            raise Refused(f"{method} {path}: {refusal.code} {refusal.read().decode()}") from None
        text = raw.decode()
        if kind == "application/json" and text:
            return status, json.loads(text)
        return status, text or None

    def call(self, operation, body=None, token=None, **parameters):
        """Asks, and keeps the request and its answer as the example of the operation."""
        method, template = self.operations[operation]
        path, query = template, {}
        for name, value in parameters.items():
            if "{%s}" % name in path:
                path = path.replace("{%s}" % name, urllib.parse.quote(str(value), safe=""))
            else:
                query[name] = value
        if query:
            path += "?" + urllib.parse.urlencode(query, doseq=True)
        status, answer = self.ask(method, path, body, token)
        example = {}
        if parameters:
            example["parameters"] = self.scrub.value(parameters)
        if body is not None:
            example["request"] = self.scrub.value(body)
        example["status"] = status
        if answer is not None:
            example["response"] = self.scrub.value(answer)
        self.keep(operation, example)
        return answer

    def keep(self, operation, example):
        self.recorded[operation] = example

    def until(self, what, look):
        until = time.monotonic() + PATIENCE_S
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > until:
                raise Refused(f"waited in vain for {what}")
            time.sleep(0.05)

    def get(self, path):
        return self.ask("GET", path)[1]

    def is_in(self, mission, *states):
        def look():
            seen = self.get(f"/api/v1/missions/{mission}")
            return seen if seen["state"] in states else None

        return self.until(f"{mission} to be {' or '.join(states)}", look)

    def end(self):
        try:
            self.ask("POST", "/api/v1/swarm/halt")
        except (Refused, OSError):
            pass
        self.child.terminate()
        self.child.wait(timeout=PATIENCE_S)


def git(repository, *args):
    subprocess.run(["git", "-C", repository, *args], check=True, capture_output=True)


def make_repository(place):
    repository = place / "parser"
    repository.mkdir()
    (place / ".gitconfig").write_text("[user]\n\tname = Ann\n\temail = ann@example.org\n[init]\n\tdefaultBranch = main\n")
    os.environ["GIT_CONFIG_GLOBAL"] = str(place / ".gitconfig")
    git(repository, "init", "-q", "-b", "main")
    (repository / "README.md").write_text("# Parser\n")
    (repository / "lexer.py").write_text("def lex(text):\n    return text.split()\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "A lexer")
    return repository


# What an agent of the examples does: it writes a file and commits it.
WORK = "sh -c 'cat > /dev/null; echo \"def parse(words): return words\" >> parser.py; git add .; git commit -qm \"A parser\"'"


def agents(engine):
    engine.call("check_command", {"command": "git --version"})
    engine.call("list_runtimes")
    engine.call("list_presets")
    engine.call("get_supervision")
    # Somebody's agent by that name: it speaks the protocol, and needs no model.
    (engine.place / "bin" / "goose").symlink_to(PROGRAMS / "hivekeeper-fake-acp")
    engine.call("try_preset", name="goose")
    engine.call(
        "add_agent",
        {"name": "bee", "role": "writes parsers", "skills": ["python"], "command": WORK, "grace_s": 2},
    )
    engine.call("list_agents")
    engine.call("get_agent", id="bee")
    engine.call("edit_agent", {"role": "writes parsers and lexers", "skills": ["python", "git"]}, id="bee")
    engine.call("pause_agent", id="bee")
    engine.call("resume_agent", id="bee")
    engine.ask("POST", "/api/v1/agents", {"name": "drone", "command": "cat"})
    engine.call("remove_agent", id="drone")


def rules(engine):
    engine.call("list_policies")
    engine.call("get_policy", name="strict")
    policy = {
        "name": "docs", "about": "Texts: no gates, the captain looks", "grade": "human", "gates": [],
        "retries": 1, "backoff_s": 10, "hand_over": True,
    }
    engine.call("put_policy", policy, name="docs")
    engine.call("remove_policy", name="docs")
    template = {
        "name": "port", "about": "Ports a module", "title": "Port {{module}}",
        "brief": "Port {{module}} to Python 3.", "labels": ["port"], "gates": ["file: {{module}}"],
    }
    engine.call("put_template", template, name="port")
    engine.call("list_templates")
    engine.call("get_template", name="port")
    engine.call("remove_template", name="port")
    settings = engine.call("get_settings")
    engine.call("put_settings", {**settings, "running_max": 4})
    rule = engine.call("add_permission_rule", {"pattern": "run: git status *", "allow": True, "scope": {"kind": "workspace"}})
    engine.call("list_permission_rules")
    engine.call("remove_permission_rule", id=rule["id"])


def missions(engine, repository):
    new = {
        "title": "Port the parser", "brief": "Write parser.py beside lexer.py.", "agent": "bee",
        "repository": str(repository), "gates": ["file: parser.py"], "policy": "strict",
        "labels": ["parser"], "criteria": ["parser.py has a function parse"],
    }
    engine.call("inspect_repository", path=str(repository))
    engine.call("check_mission", new)
    mission = engine.call("add_mission", new)["short_id"]
    engine.call("report_progress", {"percent": 40, "text": "the parser reads words"}, id=mission)
    seen = engine.is_in(mission, "in_review")
    attempt = seen["attempts"][0]["id"]
    engine.call("review_mission", id=mission)
    engine.call("diff_attempt", id=attempt, path="parser.py", context=3)
    engine.call("radar")
    checkpoint = engine.call("make_checkpoint", {"note": "before another try"}, id=mission)
    engine.call("list_checkpoints", id=mission)
    engine.call("restore_checkpoint", id=checkpoint["id"])
    engine.is_in(mission, "in_review")
    engine.call("list_worktrees", limit=2)
    engine.call("clean_worktrees", {"apply": False})
    engine.call("read_transcript", id=attempt, stream="stdout", offset=0, max_bytes=1024)
    engine.call("read_gate_output", id=attempt, index=0)
    engine.call("send_back_mission", {"note": "Add a test."}, id=mission)
    engine.until("a second try", lambda: len(engine.get(f"/api/v1/missions/{mission}")["attempts"]) > 1)
    engine.is_in(mission, "in_review")
    commit = engine.get(f"/api/v1/missions/{mission}/review")["reviewed_commit"]
    engine.call("take_ci_result", {"name": "build", "status": "passed", "commit": commit}, id=mission)
    engine.call("accept_mission", {"reviewed": commit, "merge": "merge", "note": "well done"}, id=mission)
    engine.is_in(mission, "done")
    engine.call("get_mission", id=mission)
    engine.call("explain_mission", id=mission)
    engine.call("list_missions", state=["done"], limit=2)
    engine.call("list_attempts_of_agent", id="bee", limit=2)
    engine.call("list_efficiency", last=3600)
    engine.call("get_efficiency", id="bee", last=3600)
    return mission


def drafts(engine):
    def draft(title, **more):
        new = {"title": title, "brief": f"{title}, please.", "draft": True, **more}
        return engine.ask("POST", "/api/v1/missions", new)[1]["short_id"]

    first = draft("Document the lexer")
    engine.call("edit_mission", {"priority": "high", "labels": ["docs"]}, id=first)
    engine.ask("POST", "/api/v1/agents/bee/pause")
    engine.call("queue_mission", {"note": "now"}, id=first)
    engine.call("pause_mission", {"note": "not today"}, id=first)
    engine.call("resume_mission", id=first, body={})
    engine.call("assign_mission", {"agent": "bee"}, id=first)
    engine.call("plan")
    engine.call("cancel_mission", {"note": "done by hand"}, id=first)
    engine.call("retry_mission", {"fresh": True}, id=first)
    engine.ask("POST", f"/api/v1/missions/{first}/cancel")
    engine.call("remove_mission", id=first)
    trash = engine.call("list_trash", limit=2)["items"]
    engine.call("restore_from_trash", id=trash[0]["id"])
    engine.ask("DELETE", f"/api/v1/missions/{first}")
    trash = engine.get("/api/v1/trash")["items"]
    engine.call("purge_from_trash", id=trash[0]["id"])
    text = "# Lexer\n\nRead numbers, too.\n\n# Parser\n\nRead brackets, too.\n"
    engine.call("import_missions", {"format": "markdown", "text": text, "apply": False})
    engine.ask("POST", "/api/v1/agents/bee/resume")


def rejected(engine, repository):
    new = {"title": "Speed the parser up", "brief": "Make it faster.", "agent": "bee", "repository": str(repository), "policy": "strict"}
    mission = engine.ask("POST", "/api/v1/missions", new)[1]["short_id"]
    engine.is_in(mission, "in_review")
    engine.call("reject_mission", {"note": "it is slower now"}, id=mission)


def failed(engine):
    engine.ask("POST", "/api/v1/agents", {"name": "wasp", "command": "false"})
    new = {"title": "Fail", "brief": "Fail.", "agent": "wasp", "retries": 0, "proof": "observed"}
    mission = engine.ask("POST", "/api/v1/missions", new)[1]["short_id"]
    engine.is_in(mission, "failed")
    engine.call("restart_failed")
    engine.is_in(mission, "failed")
    engine.call("clear_failed")
    engine.call("reconcile")


def talk(engine):
    acp = str(PROGRAMS / "hivekeeper-fake-acp")
    engine.ask(
        "POST", "/api/v1/agents",
        {"name": "ada", "runtime": "acp", "command": acp, "conduct": {"permissions": "ask"}},
    )
    brief = "@plan Look;;Write\n@think first the lexer\n@tool read lexer.py\n@usage 1200 340\n@context 20 100\n@run git status\n@say Done.\n@hang"
    mission = engine.ask("POST", "/api/v1/missions", {"title": "Look around", "brief": brief, "agent": "ada"})[1]["short_id"]
    asked = engine.until("a permission", lambda: engine.get("/api/v1/requests?open=true")["items"])
    engine.call("get_inbox")
    engine.call("list_requests", open="true", limit=2)
    engine.recorded["list_requests"]["parameters"]["open"] = True
    engine.call("answer_request", {"answer": "once"}, id=asked[0]["id"])
    attempt = engine.get(f"/api/v1/missions/{mission}")["attempts"][0]["id"]

    def says(word):
        page = json.dumps(engine.get(f"/api/v1/attempts/{attempt}/conversation"))
        return word in page

    engine.until("what ada says", lambda: says("Done."))
    engine.call("read_conversation", id=attempt, limit=2)
    engine.call("follow_conversation", id=attempt, revision=0, wait_ms=0)
    engine.call("search_conversations", text="lexer", limit=2)
    engine.call("get_usage", id=attempt)
    sent = engine.call("send_message", {"text": "How far are you?", "urgent": False, "mission": mission}, id="ada")
    engine.call("list_messages", agent="ada", limit=2)
    engine.call("cancel_turn", id=attempt)
    broadcast = engine.call("broadcast", {"agents": ["bee", "wasp"], "text": "The lexer has moved."})
    engine.call("get_broadcast", id=broadcast["broadcast_id"])
    waiting = [it for it in engine.get("/api/v1/messages?agent=wasp")["items"]]
    engine.call("discard_message", id=waiting[0]["id"])
    engine.ask("POST", f"/api/v1/missions/{mission}/cancel")
    return sent


def retried(engine):
    """A message that an agent was told, and said nothing to, can be sent again."""
    told = engine.until("bee to be told", lambda: engine.get("/api/v1/messages?agent=bee&state=delivered")["items"])
    engine.call("retry_message", id=told[0]["id"])


def terminal(engine):
    engine.ask("POST", "/api/v1/agents", {"name": "tom", "command": "sh -c 'sleep 120'", "terminal": True, "grace_s": 1})
    mission = engine.ask("POST", "/api/v1/missions", {"title": "Type", "brief": "Type.", "agent": "tom"})[1]["short_id"]
    engine.is_in(mission, "running")
    attempt = engine.get(f"/api/v1/missions/{mission}")["attempts"][0]["id"]

    def typed():
        try:
            engine.call("type_into_terminal", {"text": "ls\r"}, id=attempt)
            return True
        except Refused:
            return False

    engine.until("a terminal", typed)
    engine.call("resize_terminal", {"cols": 120, "rows": 40}, id=attempt)
    engine.ask("POST", f"/api/v1/missions/{mission}/cancel")


def topics(engine):
    new = {"title": "Tabs or spaces?", "text": "For new files.", "options": ["tabs", "spaces"]}
    topic = engine.call("open_topic", new)
    topic = topic["topic"]["id"] if "topic" in topic else topic["id"]
    engine.call("vote_on_topic", {"agent": "bee", "option": "spaces", "rationale": "lexer.py has them"}, id=topic)
    engine.call("list_topics")
    engine.call("get_topic", id=topic)
    engine.call("close_topic", {"option": "spaces", "note": "as it was"}, id=topic)


def journal(engine, mission):
    devlogs = engine.until("a devlog", lambda: engine.get("/api/v1/devlogs")["items"])
    engine.call("list_devlogs", limit=2)
    engine.call("get_devlog", id=devlogs[0]["id"])
    engine.call("export_devlog", id=devlogs[0]["id"], format="md")
    engine.call("report_mission", id=mission, format="md")
    engine.call("report_day", day=time.strftime("%Y-%m-%d", time.gmtime()), format="md", zone="Europe/Berlin")
    engine.call("list_signals")
    engine.call("query_signal", name="machine.cpu.percent" if "machine.cpu" in json.dumps(engine.get("/api/v1/signals")) else engine.get("/api/v1/signals")["items"][0]["name"], last=600, points=2)
    engine.call("list_series", match="machine_cpu_percent")
    engine.call("query_moment", expr="avg_over_time(machine_cpu_percent[5m])")
    engine.call("query_range", expr="machine_cpu_percent", last=600, points=2)
    engine.call("list_questions")
    engine.call("list_events", mission=mission, limit=2)


def house(engine, repository):
    for operation in [
        "overview", "doctor", "verify", "who_am_i", "get_mission_table", "get_attempt_table", "health", "ready",
    ]:
        engine.call(operation)
    engine.call("scan", {"path": str(repository)})
    engine.call("get_diagnostics")
    bundle = engine.recorded["get_diagnostics"]["response"]
    if isinstance(bundle, dict):
        bundle["log"] = ""
    for operation, keys in [("get_live_schema", ["$schema", "title", "description"])]:
        engine.call(operation)
        whole = engine.recorded[operation]["response"]
        engine.recorded[operation]["response"] = {key: whole[key] for key in keys if key in whole}
    engine.keep("get_openapi", {"status": 200, "response": {"openapi": "3.1.0", "info": {"title": "Hivekeeper", "version": "0.1.0"}}})
    link = engine.call("make_login_link")
    engine.call("log_in", {"code": link["url"].split("#login=")[1]})
    engine.recorded["log_in"]["request"] = {"code": "EXAMPLE0EXAMPLE0"}
    engine.call("pair", {"role": "viewer", "name": "phone"})
    token = engine.call("add_token", {"name": "ci", "role": "operator", "scopes": [{"kind": "area", "area": "missions"}], "days": 30})
    engine.call("list_tokens")
    engine.call("revoke_token", id=token["id"] if "id" in token else token["token"]["id"])
    engine.call("halt_swarm", {"note": "lunch"})
    engine.call("resume_swarm")
    engine.call("start_demo")
    engine.until("the demo to be gone", lambda: gone(engine))
    heard(engine)


def attached(engine):
    """An agent that runs elsewhere, from its registration to the end of a mission."""
    made = engine.call("register_attached", {"name": "owl", "role": "reads", "skills": ["night"]})
    token = made["token"]
    engine.call("beat_attached", {}, token=token)
    new = {"title": "Read the lexer", "brief": "Say what it does.", "agent": "owl", "proof": "self_report"}
    engine.ask("POST", "/api/v1/missions", new)
    offer = None

    def offered():
        nonlocal offer
        offer = engine.call("lease_attached", {"wait_s": 5}, token=token)
        return "fence" in json.dumps(offer)

    engine.until("a lease", offered)
    lease = offer.get("lease") or offer
    mine = {"attempt": lease.get("attempt") or lease.get("attempt_id"), "fence": lease["fence"]}
    engine.call("progress_attached", {**mine, "percent": 50, "note": "half of it"}, token=token)
    engine.call("attach_evidence", {**mine, "name": "notes", "text": "It splits at spaces."}, token=token)
    used = {"input": 1200, "output": 340}
    engine.call("use_attached", {**mine, "model": "small", "tokens": used, "turns": 1, "tool_calls": 2, "tool_failures": 0}, token=token)
    engine.call("read_attached", {**mine, "done": []}, token=token)
    engine.call("finish_attached", {**mine, "completed": True, "summary": "It splits at spaces."}, token=token)


def configuration(engine):
    changes = engine.call("list_settings_changes", limit=2)["items"]
    config = engine.call("export_config")
    engine.call("import_config", {"config": config, "dry_run": True})
    engine.call("roll_back_settings", {"seq": changes[-1]["seq"]})
    engine.call("list_event_kinds")
    new = {"name": "tell", "command": ["sh", "-c", "cat > /dev/null"], "events": ["mission_created"], "timeout_s": 5}
    hook = engine.call("add_hook", new)["id"]
    engine.call("list_hooks")
    engine.call("get_hook", id=hook)
    engine.call("edit_hook", {"timeout_s": 10}, id=hook)
    engine.call("try_hook", id=hook)
    engine.call("list_hook_runs", id=hook)
    engine.call("remove_hook", id=hook)


def secrets(engine):
    engine.call("keep_secret", {"value": "EXAMPLE0EXAMPLE0"}, name="model-key")
def health(engine):
    url = engine.url + "/healthz"
    new = {"name": "shop", "probe": {"kind": "http", "url": url, "slow_ms": 800}, "interval_s": 30, "timeout_s": 5}
    shop = engine.call("add_check", new)["id"]
    engine.until("a look", lambda: engine.call("get_check", id=shop)["last_at"])
    engine.call("edit_check", {"interval_s": 60}, id=shop)
    engine.call("run_check", id=shop)
    engine.until("a change", lambda: engine.call("get_check_history", id=shop)["changes"])
    engine.call("list_checks", subject="user", limit=2)
    engine.call("count_health")
    nightly = {"name": "nightly dump", "probe": {"kind": "heartbeat", "period_s": 86400, "grace_s": 3600}}
    nightly = engine.call("add_check", nightly)["id"]
    engine.call("report_to_check", {"report": "success"}, id=nightly)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7200))
    window = engine.call("add_maintenance", {"checks": [shop], "until": soon, "note": "the database is moved"})["id"]
    engine.call("list_maintenance")
    engine.call("remove_maintenance", id=window)
    engine.call("remove_check", id=shop)


    engine.call("list_secrets")
    engine.call("remove_secret", name="model-key")


def keeping(engine):
    engine.call("get_log_level")
    engine.call("put_log_level", {"filter": "info,gateway=debug", "for_seconds": 600})
    engine.call("read_log", level="info", limit=2)
    engine.call("make_backup")
    engine.until("a backup", lambda: engine.call("list_backups")["items"])
    engine.call("about")
    engine.call("get_metrics")
    logins = engine.call("list_logins")["items"]
    engine.call("end_login", id=logins[0]["id"])


def gone(engine):
    try:
        engine.call("remove_demo")
        return True
    except Refused:
        return False


def heard(engine):
    """One frame of the live stream."""
    request = urllib.request.Request(
        engine.url + "/api/v1/live?topics=agents", headers={"Authorization": f"Bearer {engine.token}"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as stream:
        for line in stream:
            text = line.decode().strip()
            if text.startswith("data:"):
                frame = json.loads(text.removeprefix("data:"))
                if frame.get("topic") == "agents":
                    break
    engine.keep("listen", {"parameters": {"topics": "agents"}, "status": 200, "response": engine.scrub.value(frame)})


def write(engine):
    EXAMPLES.mkdir(parents=True, exist_ok=True)
    # What nothing is answered to and nothing is sent with needs no example but its parameters.
    for operation, example in sorted(engine.recorded.items()):
        if ONLY and operation not in ONLY:
            continue
        text = json.dumps(example, indent=1, ensure_ascii=False)
        (EXAMPLES / f"{operation}.json").write_text(text + "\n")
    missing = sorted(set(engine.operations) - set(engine.recorded))
    print(f"{len(engine.recorded)} of {len(engine.operations)} operations recorded; without: {', '.join(missing) or 'none'}")


def main():
    place = Path(tempfile.mkdtemp(prefix="hk-examples-"))
    engine = Engine(place)
    parts = []
    try:
        repository = make_repository(place)
        mission = None

        def accepted():
            nonlocal mission
            mission = missions(engine, repository)

        parts = [
            lambda: agents(engine),
            lambda: rules(engine),
            accepted,
            lambda: drafts(engine),
            lambda: failed(engine),
            lambda: talk(engine),
            lambda: rejected(engine, repository),
            lambda: retried(engine),
            lambda: terminal(engine),
            lambda: topics(engine),
            lambda: journal(engine, mission),
            lambda: attached(engine),
            lambda: configuration(engine),
            lambda: secrets(engine),
            lambda: house(engine, repository),
            lambda: health(engine),
            lambda: keeping(engine),
        ]
        bad = 0
        for part in parts:
            try:
                part()
            except (Refused, KeyError, IndexError, TypeError, OSError) as error:
                bad += 1
                print(f"not everything could be recorded: {type(error).__name__} {error}", file=sys.stderr)
        write(engine)
        return 1 if bad else 0
    finally:
        engine.end()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
