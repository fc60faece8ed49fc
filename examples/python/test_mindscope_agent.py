"""Tests of mindscope_agent against a server that keeps what it gets: python3 -m unittest"""

from __future__ import annotations

import asyncio
import contextvars
import enum
import gzip
import json
import logging
import os
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, Iterator, List, Optional

import mindscope_agent as mindscope


class Collector:
    """An OTLP server. answers are statuses for the next requests; then it is 200."""

    def __init__(self) -> None:
        self.spans: List[Dict[str, Any]] = []
        self.logs: List[Dict[str, Any]] = []
        self.resources: List[Dict[str, Any]] = []
        self.answers: List[int] = []
        self.partial: Optional[Dict[str, Any]] = None
        self.hold = threading.Event()
        self.hold.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(gzip.decompress(self.rfile.read(int(self.headers["Content-Length"]))))
                outer.hold.wait(30)
                status = outer.answers.pop(0) if outer.answers else 200
                if status == 200:
                    for r in body.get("resourceSpans", []):
                        outer.resources.append(attributes(r["resource"]))
                        outer.spans += r["scopeSpans"][0]["spans"]
                    for r in body.get("resourceLogs", []):
                        outer.logs += r["scopeLogs"][0]["logRecords"]
                answer = json.dumps({"partialSuccess": outer.partial} if outer.partial else {}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()

    def named(self, name: str) -> Dict[str, Any]:
        found = [s for s in self.spans if s["name"] == name]
        assert len(found) == 1, "%d spans %s: %s" % (len(found), name, [s["name"] for s in self.spans])
        return found[0]


def attributes(item: Dict[str, Any]) -> Dict[str, Any]:
    """The attributes of a span or record, by name."""
    return {a["key"]: next(iter(a["value"].values())) for a in item["attributes"]}


class Level(int, enum.Enum):
    HIGH = 3


class Share(float, enum.Enum):
    NONE = float("nan")


class Word(str, enum.Enum):
    YES = "yes"


class Case(unittest.TestCase):
    def setUp(self) -> None:
        for name in list(os.environ):
            if name.startswith("OTEL_"):
                del os.environ[name]
        self.collector = Collector()
        self.addCleanup(self.collector.close)
        self.addCleanup(mindscope.shutdown, 5)

    def start(self, **settings: Any) -> None:
        mindscope.setup("team", self.collector.url, **{"team": "newsroom", "interval": 0.05, **settings})

    def until(self, what: Callable[[], bool], why: str) -> None:
        deadline = time.monotonic() + 10
        while not what():
            self.assertLess(time.monotonic(), deadline, why)
            time.sleep(0.01)


class Work(Case):
    def test_a_task_as_a_tree(self) -> None:
        os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "true"
        self.start()
        with mindscope.task("task-456", type="article", user="u-17", conversation="c-9") as task:
            with mindscope.agent("writer") as agent:
                with mindscope.llm("openai", "gpt-4o") as call:
                    call.chunk()
                    call.input([{"role": "user"}])
                    call.usage(120, 80, cache_read=100, reasoning=7)
                    call.response("gpt-4o-2024-08-06", "chatcmpl-1", ["stop"])
                    call.cost(0.01)
                with mindscope.tool("search", "call-1") as tool:
                    tool.input({"query": "bees"})
                    tool.output("none")
                with mindscope.record("steps", 42, system="sqlite"):
                    self.assertEqual(mindscope.ids(), ("task-456", task.context.trace_id))
                with mindscope.save_artifact("task-456/draft.md", "text", "text/markdown") as saved:
                    self.assertEqual(saved.metadata()["agent"], "writer")
                agent.quality(8)
        self.assertTrue(mindscope.flush())
        root = self.collector.named("execute_task")
        ids = {s["name"]: s["spanId"] for s in self.collector.spans}
        for name, parent in (("invoke_agent writer", "execute_task"), ("chat gpt-4o", "invoke_agent writer"),
                             ("execute_tool search", "invoke_agent writer"), ("INSERT steps", "invoke_agent writer"),
                             ("save_artifact", "invoke_agent writer")):
            span = self.collector.named(name)
            self.assertEqual((span["parentSpanId"], span["traceId"]), (ids[parent], root["traceId"]), name)
            found = attributes(span)
            self.assertEqual(found["ai_team.task.id"], "task-456", name)
            self.assertEqual(found["gen_ai.agent.name"], "writer", name)
            self.assertEqual((found["ai_team.task.type"], found["ai_team.user.id"], found["gen_ai.conversation.id"]), ("article", "u-17", "c-9"))
        call = attributes(self.collector.named("chat gpt-4o"))
        self.assertEqual((call["gen_ai.usage.input_tokens"], call["gen_ai.usage.cache_read.input_tokens"]), ("120", "100"))
        self.assertNotIn("gen_ai.usage.cache_write.input_tokens", call)
        self.assertEqual((call["gen_ai.input.messages"], call["gen_ai.usage.cost.amount"]), ('[{"role": "user"}]', 0.01))
        self.assertEqual(attributes(self.collector.named("execute_tool search"))["gen_ai.tool.call.arguments"], '{"query": "bees"}')
        self.assertEqual(attributes(self.collector.named("INSERT steps"))["ai_team.record.id"], "42")
        digest = attributes(self.collector.named("save_artifact"))["ai_team.artifact.digest"]
        self.assertEqual(digest, "sha256:982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1")
        self.assertEqual(attributes(root)["ai_team.task.status"], "completed")
        self.assertEqual(self.collector.resources[0]["service.namespace"], "newsroom")

    def test_content_is_kept_only_when_asked(self) -> None:
        self.start()
        with mindscope.llm("openai", "gpt-4o") as call:
            call.input("a secret")
            call.output("a secret")
        mindscope.flush()
        self.assertNotIn("secret", json.dumps(self.collector.spans))

    def test_failures(self) -> None:
        self.start()
        for error, status, kind in ((ValueError("no"), "failed", "ValueError"), (TimeoutError("late"), "failed", "timeout"),
                                    (asyncio.CancelledError(), "cancelled", "cancelled"), (KeyboardInterrupt(), "cancelled", "cancelled")):
            self.collector.spans.clear()
            with self.assertRaises(type(error)):
                with mindscope.task("task-1"):
                    raise error
            mindscope.flush()
            span = self.collector.named("execute_task")
            self.assertEqual((attributes(span)["ai_team.task.status"], attributes(span)["error.type"]), (status, kind))
            self.assertEqual((span["status"]["code"], span["events"][0]["name"]), (2, "exception"))

    def test_decorators(self) -> None:
        self.start()

        class Orchestrator:
            @mindscope.task(lambda self, order: order["id"], type="article")
            def execute_task(self, order: Dict[str, str]) -> str:
                span = mindscope.current_span()
                assert span
                span.quality(7)
                return write()

        @mindscope.agent("writer")
        def write() -> str:
            return mindscope.task_id() + mindscope.agent_name()

        @mindscope.agent("critic")
        async def judge() -> str:
            await asyncio.sleep(0)
            return mindscope.agent_name()

        async def both() -> List[str]:
            return await asyncio.gather(judge(), judge())

        self.assertEqual(Orchestrator().execute_task({"id": "task-7"}), "task-7writer")
        self.assertEqual(asyncio.run(both()), ["critic", "critic"])
        self.assertEqual((mindscope.agent_name(), mindscope.current_span()), ("", None))
        mindscope.flush()
        found = attributes(self.collector.named("execute_task"))
        self.assertEqual((found["ai_team.task.id"], found["ai_team.quality_score"]), ("task-7", 7.0))
        self.assertEqual(len([s for s in self.collector.spans if s["name"] == "invoke_agent critic"]), 2)

    def test_every_kind_decorates_functions_with_arguments(self) -> None:
        self.start()
        for kind in (mindscope.task("task-1"), mindscope.agent("writer"), mindscope.llm("openai", "gpt-4o"), mindscope.tool("search"),
                     mindscope.record("steps"), mindscope.save_artifact("a.md", "text"), mindscope.load_artifact("a.md"),
                     mindscope.send("writer"), mindscope.process({}, {})):

            @kind
            def double(n: int, times: int = 2) -> int:
                return n * times

            self.assertEqual((double(2), double(2, times=3)), (4, 6))
        self.assertTrue(mindscope.flush())
        self.assertEqual((len(self.collector.spans), mindscope.stats().errors), (18, 0))

    def test_generators_are_not_decorated(self) -> None:
        def steps() -> Iterator[int]:
            yield 1

        with self.assertRaisesRegex(TypeError, "steps is a generator.*use `with` inside"):
            mindscope.agent("writer")(steps)

    def test_async_with_and_threads(self) -> None:
        self.start()

        async def work() -> None:
            async with mindscope.task("task-8"):
                async with mindscope.agent("writer"):
                    pass

        asyncio.run(work())
        with ThreadPoolExecutor(2) as pool, mindscope.task("task-9"):
            bound = pool.submit(mindscope.wrap(mindscope.task_id)).result()
            self.assertEqual((bound, pool.submit(mindscope.task_id).result()), ("task-9", ""))

    def test_one_object_many_times(self) -> None:
        self.start()
        critic = mindscope.agent("critic")
        with critic as outer:
            with critic as inner:
                self.assertEqual(mindscope.span_id(), inner.context.span_id)
            self.assertEqual(mindscope.span_id(), outer.context.span_id)
        self.assertEqual((mindscope.span_id(), inner.parent_id), ("", outer.context.span_id))
        headers = mindscope.extracted({"traceparent": "00-%s-%s-01" % ("a" * 32, "b" * 16)})
        with headers:
            with headers:
                pass
            self.assertEqual(mindscope.span_id(), "b" * 16)
        self.assertEqual(mindscope.span_id(), "")

        both = threading.Barrier(2)

        def work() -> str:
            with critic as span:
                both.wait(10)
                with headers:
                    both.wait(10)
                assert mindscope.span_id() == span.context.span_id
            assert mindscope.span_id() == ""
            return span.context.span_id

        async def begin(first: asyncio.Event, second: asyncio.Event) -> str:
            async with critic as span:
                first.set()
                await second.wait()
            return span.context.span_id

        async def together() -> List[str]:
            a, b = asyncio.Event(), asyncio.Event()
            return await asyncio.gather(begin(a, b), begin(b, a))

        with ThreadPoolExecutor(2) as pool:
            ids = [f.result() for f in [pool.submit(work), pool.submit(work)]]
        ids += asyncio.run(together())
        critic.__exit__(None, None, None)  # without a begin there is nothing to end
        self.assertTrue(mindscope.flush())
        self.assertEqual(sorted(s["spanId"] for s in self.collector.spans), sorted(ids + [outer.context.span_id, inner.context.span_id]))
        self.assertEqual((mindscope._client.running, mindscope.stats().errors), ({}, 1))

    def test_a_generator_that_ends_elsewhere(self) -> None:
        self.start()

        def steps() -> Iterator[int]:
            with mindscope.agent("writer"):
                yield 1

        running = steps()
        contextvars.copy_context().run(next, running)
        running.close()
        self.assertTrue(mindscope.flush())
        self.collector.named("invoke_agent writer")
        self.assertEqual((mindscope.span_id(), mindscope.stats().errors), ("", 0))

    def test_nothing_breaks_the_work(self) -> None:
        self.start()

        class Bad:
            def __str__(self) -> str:
                raise RuntimeError("no text")

        with mindscope.task(Bad()) as span:  # type: ignore[arg-type]
            span.usage("many", None)  # type: ignore[arg-type]
            span.set("x", Bad())
            span.event("y", z=Bad())
        with mindscope.save_artifact("a", 3.5):  # type: ignore[arg-type]
            pass
        with mindscope.process({"baggage": b"\xff", 3: 4}, {"time": 5, "type": None}):  # type: ignore[dict-item]
            pass
        self.assertGreater(mindscope.stats().errors, 2)

    def test_without_setup_nothing_happens(self) -> None:
        mindscope.shutdown(1)
        with mindscope.task("task-1"), mindscope.agent("writer"):
            self.assertEqual(mindscope.task_id(), "task-1")
            self.assertTrue(mindscope.flush(0.1))
        os.environ["OTEL_SDK_DISABLED"] = "true"
        self.start()
        with mindscope.task("task-1"):
            pass
        mindscope.flush()
        self.assertEqual((self.collector.spans, self.collector.logs), ([], []))


class Signs(Case):
    def test_start_records_and_heartbeats(self) -> None:
        self.start(heartbeat=0.05)
        with mindscope.task("task-456", type="article"):
            with mindscope.agent("writer") as agent:
                agent.set("step", 1)
                self.until(lambda: len([r for r in self.collector.logs if r.get("eventName") == "ai_team.span.heartbeat"]) >= 4, "heartbeats")
        mindscope.flush()
        starts = [r for r in self.collector.logs if r["eventName"] == "ai_team.span.started"]
        self.assertEqual([attributes(r)["ai_team.span.name"] for r in starts], ["execute_task", "invoke_agent writer"])
        root, inner = self.collector.named("execute_task"), self.collector.named("invoke_agent writer")
        second = attributes(starts[1])
        self.assertEqual((starts[1]["spanId"], second["ai_team.span.parent_id"]), (inner["spanId"], root["spanId"]))
        self.assertEqual(second["ai_team.span.start_time_unix_nano"], inner["startTimeUnixNano"])
        self.assertEqual((second["ai_team.task.id"], second["gen_ai.operation.name"], second["ai_team.span.kind"]), ("task-456", "invoke_agent", "internal"))
        self.assertNotIn("ai_team.span.parent_id", attributes(starts[0]))
        beats = [attributes(r) for r in self.collector.logs if r["eventName"] == "ai_team.span.heartbeat"]
        self.assertTrue(any(b.get("step") == "1" for b in beats), beats)
        self.assertEqual(mindscope._client.running, {})

    def test_logs(self) -> None:
        self.start()
        logger = logging.getLogger("test")
        handler = mindscope.LogHandler()
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)
        logger.propagate = False
        with mindscope.task("task-456"), mindscope.agent("writer") as agent:
            try:
                raise ValueError("x")
            except ValueError:
                logger.exception("it %s", "failed")
            record = logger.makeRecord("test", logging.INFO, "f", 1, "text", (), None)
            mindscope.ContextFilter().filter(record)
            self.assertEqual((record.task_id, record.agent, record.span_id), ("task-456", "writer", agent.context.span_id))  # type: ignore[attr-defined]
        for level, number in ((10, 5), (20, 9), (30, 13), (40, 17), (50, 21)):
            logger.log(level, "level %d", level)
            if level >= 30:
                mindscope.flush()
                self.assertEqual(self.collector.logs[-1]["severityNumber"], number)
        line = next(r for r in self.collector.logs if r.get("body") == {"stringValue": "it failed"})
        found = attributes(line)
        self.assertEqual((found["ai_team.task.id"], found["exception.type"], line["severityNumber"]), ("task-456", "ValueError", 17))
        self.assertEqual(line["spanId"], agent.context.span_id)


class Between(Case):
    def test_messages(self) -> None:
        self.start()
        with mindscope.task("täsk, 4;5=6", type="article", team="newsroom"):
            with mindscope.agent("orchestrator"), mindscope.send("writer", {"topic": "bees"}) as sent:
                pass
        self.assertEqual(sent.envelope["type"], "ai.team.command")
        self.assertEqual((sent.envelope["source"], sent.envelope["toagent"], sent.envelope["subject"]), ("orchestrator", "writer", "täsk, 4;5=6"))
        self.assertEqual(sent.headers["traceparent"], "00-%s-%s-01" % (sent.context.trace_id, sent.context.span_id))
        with mindscope.process({k.upper(): v for k, v in sent.headers.items()}, sent.envelope, "c-1"):
            self.assertEqual(mindscope.task_id(), "täsk, 4;5=6")
        with mindscope.process({}, sent.envelope):  # the broker's headers are gone: the envelope is enough
            self.assertEqual((mindscope.task_id(), mindscope.trace_id()), ("täsk, 4;5=6", sent.context.trace_id))
        with mindscope.process(sent.headers, {**sent.envelope, "subject": "task-2"}):
            self.assertEqual(mindscope.task_id(), "task-2")
        mindscope.flush()
        processed = [s for s in self.collector.spans if s["name"] == "process cmd.writer"]
        self.assertEqual([s["parentSpanId"] for s in processed], [sent.context.span_id] * 3)
        self.assertEqual(processed[0]["links"], [{"traceId": sent.context.trace_id, "spanId": sent.context.span_id}])
        self.assertEqual(attributes(processed[0])["messaging.message.conversation_id"], "c-1")
        self.assertNotIn("ai_team.task.type", attributes(processed[2]))

    def test_headers(self) -> None:
        def parent(header: str) -> str:
            with mindscope.extracted({"traceparent": header}):
                return mindscope.trace_id()

        trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
        for header, ok in (("00-%s-%s-01", True), ("00-%s-%s-00", True), (" 00-%s-%s-01 ", True), ("cc-%s-%s-01-what", True),
                           ("00-%s-%s-01-what", False), ("ff-%s-%s-01", False), ("0-%s-%s-01", False), ("00-%s-%s", False)):
            self.assertEqual(parent(header % (trace, span)) == trace, ok, header)
        for header in ("", "00-%s-%s-01" % ("0" * 32, span), "00-%s-%s-01" % (trace, "0" * 16), "00-%s-%s-01" % (trace.upper(), span), "\x00"):
            self.assertEqual(parent(header), "", header)
        with mindscope.extracted({"baggage": "vendor=a%20b;p=1, ai_team.task.id=task%2C1 ,broken,=x", "traceparent": "00-%s-%s-01" % (trace, span), "tracestate": "a=b"}):
            headers = mindscope.inject({})
            self.assertEqual(headers["baggage"], "vendor=a%20b;p=1,ai_team.task.id=task%2C1")
            self.assertEqual((headers["tracestate"], mindscope.task_id()), ("a=b", "task,1"))
            self.assertNotIn("baggage", mindscope.inject({}, baggage=False))
        with mindscope.task("x" * 3000):  # too long for baggage; spans have it all the same
            self.assertNotIn("baggage", mindscope.inject({}))


class Sending(Case):
    def test_a_server_that_hangs_never_blocks(self) -> None:
        self.collector.hold.clear()
        self.start(max_queue=100, timeout=30)
        began = time.monotonic()
        for _ in range(5000):
            with mindscope.tool("search"):
                pass
        self.assertLess(time.monotonic() - began, 2)
        stats = mindscope.stats()
        self.assertEqual(stats.made, 5000)
        self.assertGreater(stats.dropped, 4000)
        began = time.monotonic()
        mindscope.shutdown(0.3)
        self.assertLess(time.monotonic() - began, 3)
        self.collector.hold.set()

    def test_no_server(self) -> None:
        self.collector.close()
        self.start()
        with mindscope.tool("search"):
            pass
        self.assertFalse(mindscope.flush(0.1))
        mindscope.shutdown(0.2)
        self.until(lambda: mindscope.stats().dropped == 1, "the span is counted as dropped")

    def test_a_busy_server_gets_it_again(self) -> None:
        self.collector.answers = [503, 429]
        self.start()
        with mindscope.tool("search"):
            pass
        self.assertTrue(mindscope.flush(10))
        self.collector.named("execute_tool search")
        self.assertEqual(mindscope.stats().sent, 1)

    def test_what_is_refused_is_counted(self) -> None:
        self.collector.answers = [400]
        self.start()
        with mindscope.tool("search"):
            pass
        mindscope.flush()
        self.assertEqual((mindscope.stats().refused, mindscope.stats().sent), (1, 0))
        self.collector.partial = {"rejectedSpans": 1}
        with mindscope.tool("search"):
            pass
        mindscope.flush()
        self.assertEqual((mindscope.stats().refused, mindscope.stats().sent), (2, 0))

    def test_every_value_is_sent(self) -> None:
        self.start()
        with mindscope.tool("search") as tool:
            for name, value in (("int", 1 << 62), ("big", 1 << 80), ("nan", float("nan")), ("list", [1, "a", {"b": None}]), ("bad", "\ud800"), ("bytes", b"x")):
                tool.set(name, value)
            for name, value in (("level", Level.HIGH), ("share", Share.NONE), ("word", Word.YES), ("words", {Word.YES: [Level.HIGH]})):
                tool.set(name, value)
        mindscope.flush()
        found = attributes(self.collector.named("execute_tool search"))
        self.assertEqual((found["level"], found["share"], found["word"]), ("3", "nan", "yes"))
        self.assertEqual(found["words"], {"values": [{"key": "yes", "value": {"arrayValue": {"values": [{"intValue": "3"}]}}}]})
        self.assertEqual((found["int"], found["big"], found["nan"], found["bad"]), (str(1 << 62), str(1 << 80), "nan", "?"))

    def warnings(self, what: Callable[[], Any]) -> str:
        """What is warned of while what runs and until it is sent or lost."""
        with self.assertLogs("mindscope", "WARNING") as logs:
            what()
            with mindscope.tool("search"):
                pass
            with mindscope.tool("search"):
                pass
            mindscope.flush(0.6)
        return "\n".join(logs.output)

    def test_what_goes_wrong_says_what_helps(self) -> None:
        self.collector.answers = [401] * 9
        said = self.warnings(self.start)
        self.assertEqual(said.count("status 401"), 1)  # once a minute
        self.assertIn("OTEL_EXPORTER_OTLP_HEADERS", said)
        self.collector.answers = [404] * 9
        self.assertIn("port 4318", self.warnings(self.start))
        for endpoint, helps in (("127.0.0.1:1", "write http://127.0.0.1:1"), ("http://127.0.0.1:4317", "4317 is for gRPC"),
                                ("http://127.0.0.1:1", "start `mindscope serve`"), ("http://127.0.0.1:x", "start `mindscope serve`")):
            self.assertIn(helps, self.warnings(lambda: mindscope.setup("team", endpoint, interval=0.05)), endpoint)
            mindscope.shutdown(0.1)

    def test_what_is_lost_is_warned_of(self) -> None:
        self.collector.answers = [503] * 99
        with self.assertLogs("mindscope", "WARNING") as logs:
            self.start()
            with mindscope.tool("search"):
                pass
            self.until(lambda: len(self.collector.answers) < 99, "the server is asked")
            mindscope.shutdown(0.3)
            self.until(lambda: mindscope.stats().dropped == 1, "the span is counted as dropped")
            self.until(lambda: bool(logs.output), "it is warned of")
        self.assertIn("1 spans are lost", logs.output[0])
        self.assertIn("status 503", logs.output[0])
        self.assertIn("shutdown(seconds)", logs.output[0])

    def test_what_waits_at_the_end_is_warned_of(self) -> None:
        self.collector.hold.clear()
        with self.assertLogs("mindscope", "WARNING") as logs:
            self.start(timeout=30)
            for _ in range(mindscope.MAX_BATCH * 2):
                with mindscope.tool("search"):
                    pass
            mindscope.shutdown(0.1)
        self.collector.hold.set()
        self.assertIn("spans and log records that waited at the end are lost", "\n".join(logs.output))

    def test_what_is_rejected_is_warned_of(self) -> None:
        self.collector.partial = {"rejectedSpans": "1", "errorMessage": "trace_id is empty"}
        said = self.warnings(self.start)
        self.assertEqual(said.count("rejects the others: trace_id is empty"), 1)  # once a minute
        self.collector.partial = {"rejectedSpans": 0, "errorMessage": "a hint"}
        with self.assertNoLogs("mindscope", "WARNING") if hasattr(self, "assertNoLogs") else self.subTest():
            self.start()
            with mindscope.tool("search"):
                pass
            self.assertTrue(mindscope.flush(5))

    def test_the_server_is_not_told_of_itself(self) -> None:
        self.start()
        handler = mindscope.LogHandler()
        logging.getLogger("mindscope").addHandler(handler)
        self.addCleanup(logging.getLogger("mindscope").removeHandler, handler)
        self.collector.answers = [400]
        self.warnings(lambda: None)
        self.assertTrue(mindscope.flush())
        self.assertEqual(self.collector.logs, [])

    @unittest.skipUnless(hasattr(os, "fork"), "needs fork")
    def test_a_child_sends_on_its_own(self) -> None:
        self.start()
        with mindscope.task("task-1"):
            child = os.fork()
            if child == 0:
                with mindscope.tool("child"):
                    pass
                os._exit(0 if mindscope.flush(5) else 1)
            self.assertEqual(os.waitpid(child, 0)[1], 0)
        mindscope.flush()
        self.assertEqual(self.collector.named("execute_tool child")["traceId"], self.collector.named("execute_task")["traceId"])


if __name__ == "__main__":
    unittest.main()
