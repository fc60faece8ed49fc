"""The draft's Orchestrator, with a writer and a critic, on nothing but Python's standard library: an example of
mindscope_agent, and what the tests run against the real server.

    python3 orchestrator.py --dir /var/tmp/team           # task-456 is completed, task-457 fails at the critic

The agents are threads that speak over an in-process bus with the envelope and headers that a broker would carry. Files in
the folder: team.db (records), artifacts/, bus.jsonl (all messages), llm.jsonl (what the provider got), team.log, summary.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import queue
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Dict, List, Tuple

import mindscope_agent as mindscope

log = logging.getLogger("team")
Message = Tuple[Dict[str, str], Dict[str, Any], str]  # headers, envelope, correlation id


class Bus:
    """Queues by agent. What is sent is dumped, as a broker's tracer would do it."""

    def __init__(self, dump: Path) -> None:
        self._queues: Dict[str, "queue.Queue[Any]"] = {}
        self._dump = dump.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def queue(self, agent: str) -> "queue.Queue[Any]":
        with self._lock:
            return self._queues.setdefault(agent, queue.Queue(maxsize=100))

    def send(self, to: str, payload: Any, type: str = "COMMAND", correlation_id: str = "") -> str:
        """Sends a message and returns its id."""
        with mindscope.send(to, payload, type, correlation_id, system="in_process") as sent:
            with self._lock:
                self._dump.write(json.dumps({"headers": sent.headers, "body": sent.envelope}) + "\n")
                self._dump.flush()
            self.queue(to).put((sent.headers, sent.envelope, correlation_id or sent.envelope["id"]))
            return str(sent.envelope["id"])


class Model:
    """A client of OpenAI's chat API in ten lines."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, model: str, prompt: str) -> str:
        with mindscope.llm("openai", model) as call:
            call.input([{"role": "user", "parts": [{"type": "text", "content": prompt}]}])
            headers = {"Content-Type": "application/json"}
            mindscope.inject(headers, baggage=False)  # a provider learns of no task and no user
            body = json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}]}).encode()
            try:
                with urllib.request.urlopen(urllib.request.Request(self._url, body, headers), timeout=30) as response:
                    answer = json.load(response)
            except urllib.error.HTTPError as refused:
                raise RuntimeError("the model refused with status %d" % refused.code) from refused
            call.usage(answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"])
            call.response(answer["model"], answer["id"], [answer["choices"][0]["finish_reason"]])
            text = str(answer["choices"][0]["message"]["content"])
            call.output([{"role": "assistant", "finish_reason": "stop", "parts": [{"type": "text", "content": text}]}])
            return text


class Team:
    """What the agents share: the bus, the model, the database, the folder of artifacts."""

    def __init__(self, folder: Path, model: Model) -> None:
        self.bus, self.model, self.folder = Bus(folder / "bus.jsonl"), model, folder
        (folder / "artifacts").mkdir(exist_ok=True)
        self.db().executescript("CREATE TABLE IF NOT EXISTS task_steps (id INTEGER PRIMARY KEY, task_id TEXT, trace_id TEXT, agent TEXT, step TEXT)")

    def db(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / "team.db", timeout=30)

    def note(self, step: str) -> None:
        """Writes a record, with the ids of the task and the trace in columns of their own."""
        query = "INSERT INTO task_steps (task_id, trace_id, agent, step) VALUES (?, ?, ?, ?)"
        with mindscope.record("task_steps", system="sqlite", query=query) as record, self.db() as db:
            row = db.execute(query, (*mindscope.ids(), mindscope.agent_name(), step))
            record.set("ai_team.record.id", str(row.lastrowid))

    def save(self, name: str, text: str) -> str:
        """Stores an artifact, with its metadata beside it."""
        key = "%s/%s" % (mindscope.task_id(), name)
        path = self.folder / "artifacts" / key
        with mindscope.save_artifact(key, text, "text/markdown", path.as_uri()) as saved:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.with_suffix(".json").write_text(json.dumps(saved.metadata()), encoding="utf-8")
        return key

    def load(self, key: str) -> str:
        text = (self.folder / "artifacts" / key).read_text(encoding="utf-8")
        with mindscope.load_artifact(key, text, "text/markdown"):
            return text


class Agent(threading.Thread):
    """Takes commands and answers each with a result or an error."""

    def __init__(self, team: Team, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.team = team

    def run(self) -> None:
        while True:
            message = self.team.bus.queue(self.name).get()
            if message is None:
                return
            headers, envelope, correlation = message
            with mindscope.process(headers, envelope, system="in_process") as span:
                try:
                    with mindscope.agent(self.name):
                        result = self.work(envelope["data"])
                    self.team.bus.send(envelope["source"], result, "RESULT", correlation)
                except Exception as error:
                    span.fail(error)
                    log.error("%s gave up", self.name, exc_info=True)
                    self.team.bus.send(envelope["source"], {"error": {"message": str(error)}}, "ERROR", correlation)

    def work(self, data: Any) -> Any:
        raise NotImplementedError


class Writer(Agent):
    def work(self, data: Any) -> Any:
        draft = self.team.model.ask("gpt-4o", "Write an article on %s. %s" % (data["topic"], data.get("advice", "")))
        self.team.note("draft")
        log.info("draft written: %d characters", len(draft))
        return {"key": self.team.save("draft.md", draft)}


class Critic(Agent):
    def work(self, data: Any) -> Any:
        verdict = self.team.model.ask("gpt-4o-mini", "Judge this. " + self.team.load(data["key"]))
        score = float(verdict.split()[1])
        self.team.note("review")
        log.info("review written: %.1f", score)
        return {"score": score, "advice": verdict}


class Orchestrator:
    """As in the draft: execute_task gives the work to the writer, then to the critic, until it is good."""

    def __init__(self, team: Team) -> None:
        self.team = team

    @mindscope.task(lambda self, task: task["id"], type="article")
    def execute_task(self, task: Dict[str, Any]) -> Dict[str, Any]:
        done = {"task_id": task["id"], "trace_id": mindscope.trace_id(), "tokens": 0}
        task["books"] = done
        whole = mindscope.current_span()
        with mindscope.agent("orchestrator"):
            log.info("task accepted: %s", task["topic"])
            advice = ""
            for _ in range(3):
                draft = self.ask("writer", {"topic": task["topic"], "advice": advice})
                verdict = self.ask("critic", draft)
                advice = verdict["advice"]
                if verdict["score"] >= 8:
                    break
            if whole:
                whole.quality(verdict["score"])
            self.team.note("accepted")
            done["quality"] = verdict["score"]
            return done

    def ask(self, agent: str, payload: Any) -> Any:
        """Sends a command and waits for its answer."""
        sent = self.team.bus.send(agent, payload)
        headers, envelope, _ = self.team.bus.queue("orchestrator").get(timeout=60)
        with mindscope.process(headers, envelope, correlation_id=sent, system="in_process"):
            answer = envelope["data"]  # receiving it went well, whatever it says
        if envelope["type"] == "ai.team.error":
            raise RuntimeError("%s: %s" % (agent, answer["error"]["message"]))
        return answer


class Provider(BaseHTTPRequestHandler):
    """Answers as OpenAI would: the critic likes the second draft. "[429]" in the question makes it refuse."""

    dump: Path
    stall = False

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][0]["content"]
        with self.dump.open("a", encoding="utf-8") as f:
            f.write(json.dumps({name.lower(): value for name, value in self.headers.items()}) + "\n")
        if self.stall:
            time.sleep(600)
        if "[429]" in prompt and prompt.startswith("Judge"):
            self.send_response(429)
            self.end_headers()
            return
        text = "Draft. %s Bees hum over the roofs." % prompt[:60]
        if prompt.startswith("Judge"):
            text = "SCORE 8.5 Well done." if "SCORE" in prompt else "SCORE 6.0 Needs an example."
        answer = {"id": "chatcmpl-1", "model": body["model"], "usage": {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(text) // 4},
                  "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}]}
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def configure_log(file: Path) -> None:
    to_file = logging.FileHandler(file, encoding="utf-8")
    to_file.addFilter(mindscope.ContextFilter())
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s task=%(task_id)s trace=%(trace_id)s agent=%(agent)s %(message)s"))
    log.setLevel(logging.INFO)
    log.addHandler(to_file)
    log.addHandler(mindscope.LogHandler())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, default=Path("python-team"), help="folder for all files")
    parser.add_argument("--stall", action="store_true", help="the model never answers: a task that hangs")
    args = parser.parse_args()
    args.dir.mkdir(parents=True, exist_ok=True)
    mindscope.setup("python-team", team="newsroom")
    configure_log(args.dir / "team.log")
    Provider.dump, Provider.stall = args.dir / "llm.jsonl", args.stall
    provider = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    team = Team(args.dir, Model("http://127.0.0.1:%d/v1/chat/completions" % provider.server_address[1]))
    agents: List[Agent] = [Writer(team, "writer"), Critic(team, "critic")]
    for agent in agents:
        agent.start()
    books = []
    for task in ({"id": "task-456", "topic": "bees in cities"}, {"id": "task-457", "topic": "moss [429]"}):
        try:
            Orchestrator(team).execute_task(task)
        except RuntimeError as failed:
            task["books"]["error"] = str(failed)
        books.append(task["books"])
    for agent in agents:
        team.bus.queue(agent.name).put(None)
        agent.join(10)
    (args.dir / "summary.json").write_text(json.dumps(books), encoding="utf-8")
    mindscope.shutdown(10)
    stats = mindscope.stats()
    print("%d spans and log records, %d sent, %d dropped, %d refused, %d errors" % (stats.made, stats.sent, stats.dropped, stats.refused, stats.errors))


if __name__ == "__main__":
    main()
