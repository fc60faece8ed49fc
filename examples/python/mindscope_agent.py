"""Makes the work of a team of AI agents visible in MindScope. One file to copy; it needs Python 3.9 or newer and nothing else.

    import mindscope_agent as mindscope

    mindscope.setup("orchestrator", team="newsroom")  # to http://127.0.0.1:4318, or where OTEL_* variables say
    with mindscope.task("task-456", type="article"):
        with mindscope.agent("writer"):
            with mindscope.llm("openai", "gpt-4o") as call:
                answer = client.chat.completions.create(...)
                call.usage(input=answer.usage.prompt_tokens, output=answer.usage.completion_tokens)

Each of task, agent, llm, tool, record, save_artifact, load_artifact, send and process is used by `with`, by `async with` and
as a decorator of functions and coroutines. What runs inside belongs to it: nest them as the work is nested, in the same
thread or coroutine, or in threads whose function went through wrap(). `with` gives the Span, whose methods say more of the work.

Telemetry never breaks the work: nothing here raises because of it or waits for the network. A background thread sends; what
its bounded queue can't hold, and what the server refuses, is dropped and counted (stats()). The logger "mindscope" warns of
both, and of a server that can't be reached, and says what helps. Without setup() all of it does nothing.

Prompts, answers, tool arguments and results are kept only when OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is true.
"""

from __future__ import annotations

import atexit
import contextvars
import functools
import gzip
import hashlib
import inspect
import json
import logging
import os
import random
import re
import socket
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Callable, Deque, Dict, Iterable, List, Mapping, MutableMapping, Optional, Tuple, TypeVar, Union

__version__ = "1.0.0"
SCOPE = "github.com/mindscope/mindscope/examples/python"
HEARTBEAT_SECONDS = 10.0
MAX_RUNNING = 10_000  # tasks and agents beyond that get a start record and no heartbeats
MAX_BATCH = 512
MAX_TEXT = 1 << 20  # characters that are kept of one attribute

_INTERNAL, _CLIENT, _PRODUCER, _CONSUMER = 1, 3, 4, 5
_F = TypeVar("_F", bound=Callable[..., Any])
_ids = random.SystemRandom()
_log = logging.getLogger("mindscope")


# ---- what a context knows of its work ----


@dataclass(frozen=True)
class _Context:
    """The span, task and agent that the running code belongs to."""

    trace_id: str = ""
    span_id: str = ""
    trace_state: str = ""
    agent: str = ""
    work: Mapping[str, str] = field(default_factory=dict)  # ai_team.task.id and its kin, as they travel in baggage
    baggage: Mapping[str, str] = field(default_factory=dict)  # what others put there, encoded as it came
    span: Optional["Span"] = field(default=None, compare=False, repr=False)


_current: contextvars.ContextVar[_Context] = contextvars.ContextVar("mindscope", default=_Context())
# The names of the work in baggage, and what spans call them.
_WORK = {
    "ai_team.task.id": "ai_team.task.id",
    "ai_team.task.type": "ai_team.task.type",
    "ai_team.team": "ai_team.team",
    "ai_team.user.id": "ai_team.user.id",
    "ai_team.conversation.id": "gen_ai.conversation.id",
}


def task_id() -> str:
    """The id of the task that the running code works on, "" when it works on none."""
    return _current.get().work.get("ai_team.task.id", "")


def trace_id() -> str:
    """The trace as 32 hex digits, "" outside of every trace."""
    return _current.get().trace_id


def span_id() -> str:
    """The span as 16 hex digits, "" outside of every span."""
    return _current.get().span_id


def current_span() -> Optional["Span"]:
    """The span that the running code is in, for decorated functions; None outside of every span."""
    return _current.get().span


def agent_name() -> str:
    """The agent that is at work, "" outside of agents."""
    return _current.get().agent


def ids() -> Tuple[str, str]:
    """The values for the columns task_id and trace_id of a record."""
    return task_id(), trace_id()


def wrap(function: _F) -> _F:
    """Returns function bound to the work at hand, for threads and executors, which don't inherit it:
    `pool.submit(wrap(write), chapter)`. Coroutines inherit it by themselves."""
    context = contextvars.copy_context()

    @functools.wraps(function)
    def bound(*args: Any, **kwargs: Any) -> Any:
        return context.copy().run(function, *args, **kwargs)

    return bound  # type: ignore[return-value]


# ---- between processes: W3C trace context and baggage ----

_PARENT = re.compile(r"^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$")
_MAX_BAGGAGE = 2048  # bytes of our values; W3C gives 8192 to everybody together


def inject(headers: MutableMapping[str, str], baggage: bool = True) -> MutableMapping[str, str]:
    """Writes traceparent, tracestate and baggage of the work at hand into headers, and returns them. It is for messages and
    requests inside the team. For what leaves it, such as a provider of models, say baggage=False: baggage names the task and
    the user."""
    c = _current.get()
    if c.trace_id:
        headers["traceparent"] = "00-%s-%s-01" % (c.trace_id, c.span_id)
        if c.trace_state:
            headers["tracestate"] = c.trace_state
    members = dict(c.baggage)
    room = _MAX_BAGGAGE
    for name, value in c.work.items():
        if value and len(value) <= room:
            room -= len(value)
            members[name] = urllib.parse.quote(value, safe="!#$&'()*+-./:<=>?@[]^_`{|}~")
    if baggage and members:
        headers["baggage"] = ",".join("%s=%s" % m for m in members.items())
    return headers


def _extract(headers: Mapping[str, str]) -> _Context:
    lower: Dict[str, str] = {}
    for name, value in headers.items():
        if isinstance(value, bytes):  # AMQP clients differ
            value = value.decode("utf-8", "replace")
        if isinstance(value, str):
            lower[str(name).lower()] = value
    trace, span = _parent_of(lower.get("traceparent", ""))
    work: Dict[str, str] = {}
    others: Dict[str, str] = {}
    for member in lower.get("baggage", "")[:8192].split(","):
        name, eq, value = member.partition("=")
        name = name.strip()
        if not eq or not name:
            continue
        if name in _WORK:
            work[name] = urllib.parse.unquote(value.partition(";")[0].strip(), errors="replace")
        elif len(others) < 64:
            others[name] = value.strip()
    return _Context(trace, span, lower.get("tracestate", "")[:512] if trace else "", "", work, others)


def _parent_of(header: str) -> Tuple[str, str]:
    m = _PARENT.match(header.strip())
    if not m or m.group(1) == "ff" or (m.group(1) == "00" and m.group(5)) or not int(m.group(2), 16) or not int(m.group(3), 16):
        return "", ""
    return m.group(2), m.group(3)


class _Open:
    """The contexts that one `with` object has entered and not left. It may be in use many times at once: inside of itself, and
    in several threads and coroutines."""

    def __init__(self) -> None:
        self._tokens: Dict[int, Tuple[_Context, contextvars.Token[_Context]]] = {}  # by id, which lives as long as its context

    def enter(self, context: _Context) -> None:
        self._tokens[id(context)] = (context, _current.set(context))

    def leave(self) -> Optional[_Context]:
        """Leaves the context at hand, or the last entered where another one is at hand; None when none is left."""
        try:
            context, token = self._tokens.pop(id(_current.get()), None) or self._tokens.popitem()[1]
        except KeyError:
            return None
        try:
            _current.reset(token)
        except (ValueError, RuntimeError):  # a generator was closed in another context
            pass
        return context


class extracted:
    """`with extracted(headers):` goes on with the task and trace of a request's headers instead of one's own. For messages of
    the bus there is process(), which makes a span as well."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self._open = _Open()

    def __enter__(self) -> None:
        try:
            context = _extract(self._headers)
        except Exception:  # what came from outside may be anything
            _client.broken()
            context = _Context()
        self._open.enter(context)

    def __exit__(self, *exc: object) -> None:
        self._open.leave()


# ---- spans ----


def _quiet(method: _F) -> _F:
    """Keeps what is passed to a method, whatever it is, from breaking the work."""

    @functools.wraps(method)
    def quiet(*args: Any, **kwargs: Any) -> None:
        try:
            method(*args, **kwargs)
        except Exception:
            _client.broken()

    return quiet  # type: ignore[return-value]


class Span:
    """A piece of work, as `with` gives it. Its methods may be called from any thread until it ends, and never fail."""

    def __init__(self, name: str, kind: int, attributes: Mapping[str, Any], parent: _Context, agent: str = "",
                 work: Optional[Mapping[str, str]] = None, links: Iterable[Tuple[str, str]] = ()) -> None:
        self.name, self.kind = name, kind
        self.context = replace(
            parent,
            trace_id=parent.trace_id or "%032x" % _ids.getrandbits(128),
            span_id="%016x" % (_ids.getrandbits(64) or 1),
            agent=agent or parent.agent,
            work=parent.work if work is None else work,
            span=self,
        )
        self.parent_id = parent.span_id
        self.start, self._mono = time.time_ns(), time.monotonic_ns()
        self.links = [(t, s) for t, s in links if t]
        self.events: List[Tuple[int, str, Dict[str, Any]]] = []
        self.status = 0
        self.message = ""
        self.attributes: Dict[str, Any] = {_WORK[k]: v for k, v in self.context.work.items() if v}
        if self.context.agent:
            self.attributes["gen_ai.agent.name"] = self.context.agent
        self.attributes.update({k: v for k, v in attributes.items() if v not in (None, "")})
        self.headers: Dict[str, str] = {}  # of a message that is sent: the transport's
        self.envelope: Dict[str, Any] = {}  # and its CloudEvents event

    def set(self, name: str, value: Any) -> None:
        """Sets an attribute of one's own: text, a number, a bool, or lists and dicts of them."""
        self.attributes[name] = value

    @_quiet
    def event(self, name: str, **attributes: Any) -> None:
        """Notes that something happened."""
        if len(self.events) < 128:
            self.events.append((time.time_ns(), name, attributes))

    @_quiet
    def quality(self, score: float) -> None:
        """A judge's score of the work, 0 to 10."""
        self.set("ai_team.quality_score", float(score))

    @_quiet
    def fail(self, error: Union[BaseException, str]) -> None:
        """Marks the work as failed without an exception passing through: for errors that are answered, not raised."""
        text = str(error) or type(error).__name__
        self.status, self.message = 2, text
        self.set("error.type", _class_of(error))
        if isinstance(error, BaseException):
            stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            self.event("exception", **{"exception.type": type(error).__qualname__, "exception.message": text,
                                       "exception.stacktrace": stack[-16384:]})

    # calls of models

    @_quiet
    def usage(self, input: int, output: int, cache_read: int = 0, cache_write: int = 0, reasoning: int = 0, cache_write_1h: int = 0) -> None:
        """The tokens that the provider reported. input has the cached ones in it, output the reasoning, cache_write what stays
        for an hour; Anthropic reports input without the cache: add it. Unknown is not zero: don't call it when nothing was
        reported."""
        for name, n in (("input_tokens", input), ("output_tokens", output)):
            self.set("gen_ai.usage." + name, int(n))
        for name, n in (("cache_read.input_tokens", cache_read), ("cache_write.input_tokens", cache_write),
                        ("cache_creation.ephemeral_1h_input_tokens", cache_write_1h), ("reasoning.output_tokens", reasoning)):
            if n:
                self.set("gen_ai.usage." + name, int(n))

    @_quiet
    def response(self, model: str = "", id: str = "", finish_reasons: Iterable[str] = ()) -> None:
        """Which model answered, the provider's id of the answer, and why it ended (`stop`, `length`, `tool_calls`, …)."""
        for name, value in (("model", model), ("id", id), ("finish_reasons", [str(r) for r in finish_reasons])):
            if value:
                self.set("gen_ai.response." + name, value)

    @_quiet
    def cost(self, dollars: float) -> None:
        """What the provider itself says the call cost. Without it the server knows the price of most models."""
        self.set("gen_ai.usage.cost.amount", float(dollars))
        self.set("gen_ai.usage.cost.currency", "USD")

    @_quiet
    def chunk(self) -> None:
        """Call it for each chunk of a stream; the first gives the time to first chunk."""
        if "gen_ai.response.time_to_first_chunk" not in self.attributes:
            self.set("gen_ai.request.stream", True)
            self.set("gen_ai.response.time_to_first_chunk", (time.monotonic_ns() - self._mono) / 1e9)

    @_quiet
    def input(self, messages: Any) -> None:
        """What was given to the model, or to the tool; kept when capture is on."""
        self._content("gen_ai.tool.call.arguments" if self._is_tool() else "gen_ai.input.messages", messages)

    @_quiet
    def output(self, messages: Any) -> None:
        """What it gave back; kept when capture is on."""
        self._content("gen_ai.tool.call.result" if self._is_tool() else "gen_ai.output.messages", messages)

    def _is_tool(self) -> bool:
        return self.attributes.get("gen_ai.operation.name") == "execute_tool"

    def _content(self, name: str, value: Any) -> None:
        if capture():
            self.set(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))

    # artifacts and messages

    def metadata(self) -> Dict[str, str]:
        """What belongs in an object's metadata, so that it can be followed back to its task."""
        found = {"task_id": self.context.work.get("ai_team.task.id", ""), "trace_id": self.context.trace_id,
                 "agent": self.context.agent, "digest": str(self.attributes.get("ai_team.artifact.digest", ""))}
        return {k: v for k, v in found.items() if v}

    def _end(self) -> None:
        self.end = self.start + time.monotonic_ns() - self._mono


def capture() -> bool:
    """Tells whether prompts, answers, arguments and results are kept."""
    return os.environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "").lower() in ("true", "1", "span_only", "span_and_event")


def _class_of(error: Union[BaseException, str]) -> str:
    if isinstance(error, str):
        return "error"
    if isinstance(error, (TimeoutError, socket.timeout)):
        return "timeout"
    if type(error).__name__ in ("CancelledError", "KeyboardInterrupt", "GeneratorExit"):
        return "cancelled"
    return type(error).__qualname__


class _Work:
    """A context manager and decorator of one kind of span. begin makes the span; as a decorator it is called with the
    arguments of the decorated function."""

    def __init__(self, begin: Callable[..., Span], outcome: bool = False) -> None:
        self._begin, self._outcome = begin, outcome
        self._open = _Open()

    def __enter__(self) -> Span:
        try:
            span = self._begin()
        except Exception:
            _client.broken()
            span = Span("work that could not be described", _INTERNAL, {}, _current.get())
        self._open.enter(span.context)
        _client.started(span)
        return span

    def __exit__(self, kind: Any, error: Optional[BaseException], stack: Any) -> None:
        context = self._open.leave()
        span = context.span if context else None
        if span is None:
            _client.broken("a `with` was left that was not entered")
            return
        try:
            if error is not None and span.status != 2:
                span.fail(error)
            if self._outcome:
                failure = "cancelled" if span.attributes.get("error.type") == "cancelled" else "failed"
                span.set("ai_team.task.status", failure if span.status == 2 else "completed")
            span._end()
            _client.ended(span)
        except Exception:
            _client.broken()

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(self, kind: Any, error: Optional[BaseException], stack: Any) -> None:
        self.__exit__(kind, error, stack)

    def __call__(self, function: _F) -> _F:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("%s is a generator, which works in pieces between which others work: use `with` inside of it "
                            "instead of the decorator" % getattr(function, "__qualname__", function))

        def once(args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> "_Work":
            return _Work(functools.partial(self._begin, *args, **kwargs), self._outcome)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                with once(args, kwargs):
                    return await function(*args, **kwargs)

            return run_async  # type: ignore[return-value]

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with once(args, kwargs):
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]


# ---- the kinds of work ----


def task(id: Union[str, Callable[..., str]], type: str = "", team: str = "", user: str = "", conversation: str = "") -> _Work:
    """A piece of work given to the team. id is of any shape; a second attempt has the same id. type is one of few words, by which
    durations are compared. As a decorator, id may be a function of the decorated one's arguments:
    `@task(lambda self, order: order["id"], type="article")`."""

    def begin(*args: Any, **kwargs: Any) -> Span:
        name = id(*args, **kwargs) if callable(id) else id
        work = {"ai_team.task.id": str(name), "ai_team.task.type": type, "ai_team.team": team, "ai_team.user.id": user,
                "ai_team.conversation.id": conversation}
        parent = replace(_current.get(), agent="")
        return Span("execute_task", _INTERNAL, {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": type}, parent,
                    work={k: v for k, v in work.items() if v})

    return _Work(begin, outcome=True)


def _span(name: str, kind: int, attributes: Mapping[str, Any], agent: str = "") -> _Work:
    return _Work(lambda *_, **__: Span(name, kind, attributes, _current.get(), agent))


def agent(name: str) -> _Work:
    """The work of one agent; what is inside, calls of models above all, is counted as this agent's."""
    return _span("invoke_agent %s" % name, _INTERNAL, {"gen_ai.operation.name": "invoke_agent"}, str(name))


def llm(provider: str, model: str, operation: str = "chat") -> _Work:
    """A call of a model, with all that the client sends again: say usage() and response() of it. provider is one of
    OpenTelemetry's names: openai, anthropic, gcp.gemini, gcp.vertex_ai, aws.bedrock, azure.ai.openai, mistral_ai, …; operation is
    chat, generate_content, text_completion or embeddings."""
    return _span("%s %s" % (operation, model), _CLIENT, {"gen_ai.operation.name": operation, "gen_ai.provider.name": provider,
                                                         "gen_ai.request.model": model})


def tool(name: str, call_id: str = "") -> _Work:
    """The call of a tool. call_id is the model's id of the call."""
    return _span("execute_tool %s" % name, _INTERNAL, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name,
                                                     "gen_ai.tool.type": "function", "gen_ai.tool.call.id": call_id})


def record(table: str, id: Any = "", operation: str = "INSERT", system: str = "other_sql", query: str = "") -> _Work:
    """A statement on a database. Put ids() into the columns task_id and trace_id of what is inserted. id is the row's key, if it is
    known before; system is postgresql, mysql, sqlite, mongodb, …; query has placeholders for values, never the values."""
    summary = "%s %s" % (operation, table)
    attributes = {"db.system.name": system, "db.operation.name": operation, "db.collection.name": table,
                  "db.query.summary": summary, "db.query.text": query}
    if operation in ("INSERT", "REPLACE"):
        attributes.update({"ai_team.record.table": table, "ai_team.record.id": str(id)})
    return _span(summary, _CLIENT, attributes)


def _artifact(verb: str, key: str, content: Union[bytes, str, None], media_type: str, uri: str, id: str) -> _Work:
    def begin(*_: Any, **__: Any) -> Span:
        base = str(key).rsplit("/", 1)[-1]
        attributes: Dict[str, Any] = {"ai_team.artifact.id": id or base.rsplit(".", 1)[0] or base, "ai_team.artifact.key": key,
                                      "ai_team.artifact.media_type": media_type, "ai_team.artifact.uri": uri}
        if content is not None:
            data = content.encode() if isinstance(content, str) else bytes(content)
            attributes["ai_team.artifact.digest"] = "sha256:" + hashlib.sha256(data).hexdigest()
            attributes["ai_team.artifact.size"] = len(data)
        return Span(verb, _INTERNAL, attributes, _current.get())

    return _Work(begin)


def save_artifact(key: str, content: Union[bytes, str], media_type: str = "", uri: str = "", id: str = "") -> _Work:
    """Storing an object: key is its name in the bucket or folder, content gives digest and size. Store the span's metadata()
    beside it."""
    return _artifact("save_artifact", key, content, media_type, uri, id)


def load_artifact(key: str, content: Union[bytes, str, None] = None, media_type: str = "", uri: str = "", id: str = "") -> _Work:
    """Reading an object; content, when it is at hand already, gives digest and size."""
    return _artifact("load_artifact", key, content, media_type, uri, id)


def send(to: str, payload: Any = None, type: str = "COMMAND", correlation_id: str = "", message_id: str = "",
         destination: str = "", system: str = "rabbitmq") -> _Work:
    """Sending a message to an agent. type is COMMAND, RESULT, ERROR, EVENT or CONTROL; correlation_id is the id of the command that
    a result answers. The span has what is to be sent, `envelope`, a CloudEvents event, and `headers`, the transport's:

        with send("writer", {"topic": "bees"}) as message:
            channel.basic_publish(exchange, key, json.dumps(message.envelope), BasicProperties(headers=message.headers))
    """

    def begin(*_: Any, **__: Any) -> Span:
        name = message_id or str(uuid.uuid4())
        c = _current.get()
        where = destination or "cmd.%s" % to
        span = Span("send " + where, _PRODUCER, _message(type, name, correlation_id, c.agent, to, where, "send", system), c)
        token = _current.set(span.context)
        try:
            span.headers = dict(inject({}))
        finally:
            _current.reset(token)
        event = {"specversion": "1.0", "id": name, "type": "ai.team." + type.lower(), "source": c.agent or _client.service,
                 "toagent": to, "subject": c.work.get("ai_team.task.id", ""), "time": datetime.now(timezone.utc).isoformat(),
                 "traceparent": span.headers.get("traceparent", ""), "datacontenttype": "application/json", "data": payload}
        span.envelope = {k: v for k, v in event.items() if v not in (None, "")}
        return span

    return _Work(begin)


def process(headers: Mapping[str, str], envelope: Mapping[str, Any], correlation_id: str = "", destination: str = "",
            system: str = "rabbitmq") -> _Work:
    """Working on a message that came, in the task and trace of its sender. headers are the transport's, envelope is the decoded
    body. The headers win; the envelope's traceparent stands in where they are missing."""

    def begin(*_: Any, **__: Any) -> Span:
        parent = _extract(headers)
        created = _parent_of(str(envelope.get("traceparent", "")))
        if not parent.trace_id:
            parent = replace(parent, trace_id=created[0], span_id=created[1])
        subject = str(envelope.get("subject", ""))
        if subject and parent.work.get("ai_team.task.id", "") != subject:  # the rest speaks of another task
            parent = replace(parent, work={"ai_team.task.id": subject, "ai_team.team": parent.work.get("ai_team.team", "")})
        to = str(envelope.get("toagent", ""))
        kind = str(envelope.get("type", "")).rsplit(".", 1)[-1].upper()
        where = destination or "cmd." + to
        attributes = _message(kind, str(envelope.get("id", "")), correlation_id, str(envelope.get("source", "")), to, where,
                              "process", system)
        try:
            sent = datetime.fromisoformat(str(envelope["time"]).replace("Z", "+00:00"))
            attributes["ai_team.message.wait_ms"] = max(0.0, time.time() - sent.timestamp()) * 1000
        except (KeyError, ValueError, TypeError, OverflowError):
            pass
        links = {(parent.trace_id, parent.span_id), created}
        return Span("process " + where, _CONSUMER, attributes, parent, links=links)

    return _Work(begin)


def _message(type: str, id: str, correlation_id: str, source: str, to: str, where: str, operation: str, system: str) -> Dict[str, Any]:
    return {"messaging.system": system, "messaging.operation.name": operation, "messaging.operation.type": operation,
            "messaging.destination.name": where, "messaging.message.id": id, "messaging.message.conversation_id": correlation_id,
            "ai_team.message.type": type, "ai_team.message.from_agent": source, "ai_team.message.to_agent": to}


# ---- logs ----


class ContextFilter(logging.Filter):
    """Puts task_id, trace_id, span_id and agent on each record, for the format of one's own log. Add it to the handler, not to a
    logger: `handler.addFilter(ContextFilter())`, with the format `%(asctime)s %(task_id)s %(trace_id)s %(message)s`."""

    def filter(self, record: logging.LogRecord) -> bool:
        c = _current.get()
        record.task_id, record.trace_id = c.work.get("ai_team.task.id", ""), c.trace_id
        record.span_id, record.agent = c.span_id, c.agent
        return True


class LogHandler(logging.Handler):
    """Sends log records with the ids of their task: `logging.getLogger().addHandler(LogHandler())`."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == _log.name:
            return  # of a server that can't be reached the server is not told
        try:
            attributes: Dict[str, Any] = {"logger.name": record.name}
            if record.exc_info and record.exc_info[0]:
                attributes["exception.type"] = record.exc_info[0].__qualname__
                attributes["exception.message"] = str(record.exc_info[1])
                attributes["exception.stacktrace"] = "".join(traceback.format_exception(*record.exc_info))[-16384:]
            _client.log(record.getMessage(), min(24, max(1, record.levelno * 4 // 10 + 1)), record.levelname,
                        attributes, int(record.created * 1e9))
        except Exception:
            _client.broken()


# ---- sending ----


@dataclass
class Stats:
    """What became of spans and log records."""

    made: int = 0
    sent: int = 0
    dropped: int = 0  # the queue was full, or nobody took them in time
    refused: int = 0  # the server did not want them
    errors: int = 0  # mistakes inside this file, and of what was passed to it


class _Client:
    """The queue and the thread that empties it."""

    def __init__(self) -> None:
        self.on = False
        self.service = "agent"
        self.stats = Stats()
        self._warned: Dict[str, float] = {}  # when, by what
        self._lock = threading.Condition(threading.RLock())

    def setup(self, service: str, endpoint: str, team: str, max_queue: int, interval: float, heartbeat: float, timeout: float) -> None:
        env = os.environ.get
        self.close(0)
        self.stats = Stats()
        self._lock = threading.Condition(threading.RLock())
        self.service = env("OTEL_SERVICE_NAME") or service
        self.max_queue, self.interval, self.heartbeat, self.timeout = max_queue, interval, heartbeat, timeout
        base = (endpoint or env("OTEL_EXPORTER_OTLP_ENDPOINT") or "http://127.0.0.1:4318").rstrip("/")
        self.urls = {"traces": env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or base + "/v1/traces",
                     "logs": env("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT") or base + "/v1/logs"}
        self._warned = {}
        for url in self.urls.values():
            if not url.startswith(("http://", "https://")):
                self.warn("setup", "the endpoint %s has no scheme, so that nothing can be sent: write http://%s", url, url.partition("/v1/")[0])
        self.headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        local = urllib.parse.urlsplit(base).hostname in ("127.0.0.1", "localhost", "::1")  # is not behind a proxy
        self.opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if local else []))
        self.headers.update(_pairs(env("OTEL_EXPORTER_OTLP_HEADERS", "")))
        resource: Dict[str, Any] = {
            "service.name": self.service, "service.namespace": team, "service.instance.id": str(uuid.uuid4()),
            "host.name": socket.gethostname(), "process.pid": os.getpid(), "telemetry.sdk.name": "mindscope-agent",
            "telemetry.sdk.language": "python", "telemetry.sdk.version": __version__,
        }
        resource.update(_pairs(env("OTEL_RESOURCE_ATTRIBUTES", "")))
        self.resource = {"attributes": _attributes({k: v for k, v in resource.items() if v != ""})}
        self.queue: Deque[Tuple[str, Dict[str, Any]]] = deque()
        self.running: Dict[str, Span] = {}
        self.busy, self.stop, self.flushing, self.deadline = False, False, 0, float("inf")
        self.on = env("OTEL_SDK_DISABLED", "").lower() != "true"
        if self.on:
            self.thread = threading.Thread(target=self._run, name="mindscope", daemon=True)
            self.thread.start()

    def broken(self, why: str = "") -> None:
        """Counts a mistake in what was passed to this file, or in the file itself; called where an exception is caught."""
        self.count(errors=1)
        if why:
            self.warn("mistake", "%s; it is left out, the work goes on", why)
        else:
            self.warn("mistake", "what was passed could not be reported and is left out; the work goes on", exc_info=True)

    def warn(self, what: str, text: str, *args: Any, exc_info: bool = False) -> None:
        """Says what goes wrong, at most once a minute of each kind."""
        now = time.monotonic()
        if now - self._warned.get(what, -60.0) < 60:
            return
        self._warned[what] = now
        try:
            _log.warning("mindscope: " + text, *args, exc_info=exc_info)
        except Exception:  # a handler of the program's own
            pass

    def unreachable(self, url: str, why: object) -> None:
        hint = "port 4317 is for gRPC, OTLP over HTTP has 4318" if ":4317/" in url else (
            "start `mindscope serve`, or set OTEL_EXPORTER_OTLP_ENDPOINT or setup(endpoint=…) to where it runs")
        self.warn("unreachable", "%s does not answer (%s): %s. It is tried again; what does not fit into the queue is lost", url, why, hint)

    def count(self, **more: int) -> None:
        with self._lock:
            for name, n in more.items():
                setattr(self.stats, name, getattr(self.stats, name) + n)

    def put(self, kind: str, item: Dict[str, Any]) -> None:
        with self._lock:
            self.stats.made += 1
            full = self.on and len(self.queue) >= self.max_queue
            if full or not self.on:
                self.stats.dropped += 1
            else:
                self.queue.append((kind, item))
                if len(self.queue) == MAX_BATCH:
                    self._lock.notify_all()
        if full:
            self.warn("full", "%d spans and log records wait already, more are lost: the server is too slow or away, or "
                      "setup(max_queue=…) is too small", self.max_queue)

    def started(self, span: Span) -> None:
        if not self.on or not span.name.startswith(("execute_task", "invoke_agent ")):
            return
        try:
            self._sign("ai_team.span.started", span, dict(span.attributes))
            with self._lock:
                if len(self.running) < MAX_RUNNING:
                    self.running[span.context.span_id] = span
        except Exception:
            self.broken()

    def _sign(self, event: str, span: Span, attributes: Dict[str, Any]) -> None:
        """Writes a sign of life of a task or an agent."""
        attributes.update({"ai_team.span.name": span.name, "ai_team.span.start_time_unix_nano": span.start,
                           "ai_team.span.kind": "internal"})
        if span.parent_id:
            attributes["ai_team.span.parent_id"] = span.parent_id
        self._record("", 9, "INFO", attributes, time.time_ns(), span.context, event)

    def log(self, body: str, number: int, severity: str, attributes: Dict[str, Any], at: int) -> None:
        if not self.on:
            return
        c = _current.get()
        attributes.update({_WORK[k]: v for k, v in c.work.items() if v})
        if c.agent:
            attributes["gen_ai.agent.name"] = c.agent
        self._record(body, number, severity, attributes, at, c, "")

    def _record(self, body: str, number: int, severity: str, attributes: Dict[str, Any], at: int, c: _Context, event: str) -> None:
        record: Dict[str, Any] = {"timeUnixNano": str(at), "observedTimeUnixNano": str(time.time_ns()), "severityNumber": number,
                                  "severityText": severity, "attributes": _attributes(attributes)}
        if body:
            record["body"] = _value(body)
        if event:
            record["eventName"] = event
        if c.trace_id:
            record.update({"traceId": c.trace_id, "spanId": c.span_id, "flags": 1})
        self.put("logs", record)

    def ended(self, span: Span) -> None:
        if not self.on:
            return
        with self._lock:
            self.running.pop(span.context.span_id, None)
        item: Dict[str, Any] = {
            "traceId": span.context.trace_id, "spanId": span.context.span_id, "name": span.name, "kind": span.kind, "flags": 1,
            "startTimeUnixNano": str(span.start), "endTimeUnixNano": str(span.end), "attributes": _attributes(span.attributes),
        }
        if span.parent_id:
            item["parentSpanId"] = span.parent_id
        if span.context.trace_state:
            item["traceState"] = span.context.trace_state
        if span.status:
            item["status"] = {"code": span.status, "message": span.message[:4096]}
        if span.events:
            item["events"] = [{"timeUnixNano": str(t), "name": n, "attributes": _attributes(a)} for t, n, a in span.events]
        if span.links:
            item["links"] = [{"traceId": t, "spanId": s} for t, s in span.links]
        self.put("traces", item)

    # the thread

    def _run(self) -> None:
        next_beat = time.monotonic() + self.heartbeat
        while True:
            with self._lock:
                if not self.queue:
                    self.busy = False
                    self._lock.notify_all()
                self._lock.wait_for(lambda: self.stop or len(self.queue) >= MAX_BATCH or (self.flushing and self.queue),
                                    max(0.0, min(self.interval, next_beat - time.monotonic())))
                batch = [self.queue.popleft() for _ in range(min(len(self.queue), MAX_BATCH))]
                self.busy = bool(batch)
                beating = list(self.running.values()) if time.monotonic() >= next_beat else []
                if self.stop and not batch:
                    self.busy = False
                    self._lock.notify_all()
                    return
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + self.heartbeat
                for span in beating:
                    try:
                        self._sign("ai_team.span.heartbeat", span, dict(span.attributes))
                    except Exception:  # an attribute was set at the same moment; the next beat has it
                        self.broken()
            for kind in ("traces", "logs"):
                items = [item for k, item in batch if k == kind]
                if items:
                    self._deliver(kind, items)

    def _deliver(self, kind: str, items: List[Dict[str, Any]]) -> None:
        """Sends items, again while the server is busy or away, and counts what became of them."""
        outer, inner, leaf = ("resourceSpans", "scopeSpans", "spans") if kind == "traces" else ("resourceLogs", "scopeLogs", "logRecords")
        scope = {"name": SCOPE, "version": __version__}
        try:
            body = json.dumps({outer: [{"resource": self.resource, inner: [{"scope": scope, leaf: items}]}]}).encode()
            request = urllib.request.Request(self.urls[kind], gzip.compress(body, 1), self.headers)
        except Exception:
            self.broken("%d %s can't be sent to %s" % (len(items), kind, self.urls[kind]))
            self.count(refused=len(items))
            return
        wait, tries, last = 0.25, 0, "there was no time to try"
        for _ in range(8):
            if time.monotonic() > self.deadline:
                break
            tries += 1
            try:
                limit = max(0.1, min(self.timeout, self.deadline - time.monotonic()))
                with self.opener.open(request, timeout=limit) as response:
                    lost, why = _rejected(response.read(1 << 16), len(items))
                self.count(sent=len(items) - lost, refused=lost)
                if lost:
                    self.warn("rejected", "%s took %d of %d %s and rejects the others: %s", self.urls[kind], len(items) - lost, len(items),
                              _called(kind), why or "it does not say why, its log may")
                return
            except urllib.error.HTTPError as e:
                e.close()
                last = "status %d" % e.code
                if e.code not in (429, 502, 503, 504):
                    self.count(refused=len(items))
                    self.warn("refused", "%s refuses %s with status %d: %s", self.urls[kind], kind, e.code, _help(e.code))
                    return
                try:
                    wait = max(wait, float(e.headers.get("Retry-After", "")))
                except ValueError:
                    pass
            except Exception as e:  # refused, reset, timed out: the server may come back
                last = str(e) or type(e).__name__
                self.unreachable(self.urls[kind], e)
            wait = min(wait, 10.0)
            until = time.monotonic() + wait
            with self._lock:
                self._lock.wait_for(lambda: self.deadline < until, wait)
            wait *= 2
        self.count(dropped=len(items))
        self.warn("lost", "%d %s are lost, %s did not take them in %d attempts (the last: %s): a server that is too busy "
                  "has its reasons in its log, one that is away at the end needs a longer shutdown(seconds)", len(items), _called(kind), self.urls[kind], tries, last)

    def flush(self, seconds: float) -> bool:
        """Waits until all that was put is sent or lost."""
        if not self.on:
            return True
        with self._lock:
            self.flushing += 1
            self._lock.notify_all()
            done = self._lock.wait_for(lambda: not self.queue and not self.busy, seconds)
            self.flushing -= 1
            return done

    def close(self, seconds: float) -> bool:
        if not self.on:
            return True
        with self._lock:
            before = self.stats.dropped
            self.stop, self.deadline = True, time.monotonic() + seconds
            self._lock.notify_all()
        self.thread.join(seconds + 0.5)
        with self._lock:
            self.on = False
            self.stats.dropped += len(self.queue)
            self.queue.clear()
            lost = self.stats.dropped - before
        if lost:
            self.warn("left", "%d spans and log records that waited at the end are lost: shutdown(seconds) was too short for the server", lost)
        return not self.thread.is_alive()


def _help(status: int) -> str:
    """What to do about an answer that is none of a busy server."""
    if status in (401, 403):
        return "put the token into OTEL_EXPORTER_OTLP_HEADERS, as authorization=Bearer%20…"
    if status in (404, 405):
        return "there is no OTLP receiver at this address; MindScope has it on port 4318"
    return "the server's log says why"


def _called(kind: str) -> str:
    return "spans" if kind == "traces" else "log records"


def _rejected(body: bytes, most: int) -> Tuple[int, str]:
    """How many items a partly successful answer says were not taken, and why."""
    try:
        partial = json.loads(body or b"{}").get("partialSuccess") or {}
        lost = int(partial.get("rejectedSpans") or partial.get("rejectedLogRecords") or 0)
        return max(0, min(most, lost)), str(partial.get("errorMessage") or "")[:1024]
    except (ValueError, AttributeError, TypeError):
        return 0, ""


def _pairs(text: str) -> Dict[str, str]:
    pairs = (p.partition("=") for p in text.split(",") if "=" in p)
    return {k.strip(): urllib.parse.unquote(v.strip()) for k, _, v in pairs}


def _attributes(values: Mapping[str, Any]) -> List[Dict[str, Any]]:
    return [{"key": _text(k), "value": _value(v)} for k, v in list(values.items())]


def _value(v: Any, depth: int = 0) -> Dict[str, Any]:
    if isinstance(v, bool):
        return {"boolValue": v}
    if isinstance(v, int) and -(1 << 63) <= v < 1 << 63:
        return {"intValue": str(int(v))}  # a member of an enum calls itself by its name
    if isinstance(v, float):
        return {"doubleValue": float(v) if v == v and abs(v) != float("inf") else str(float(v))}
    if isinstance(v, (list, tuple)) and depth < 8:
        return {"arrayValue": {"values": [_value(x, depth + 1) for x in v]}}
    if isinstance(v, Mapping) and depth < 8:
        return {"kvlistValue": {"values": [{"key": _text(k), "value": _value(x, depth + 1)} for k, x in v.items()]}}
    return {"stringValue": _text(v)[:MAX_TEXT].encode("utf-8", "replace").decode()}


def _text(v: Any) -> str:
    return str.__str__(v) if isinstance(v, str) else str(v)


_client = _Client()


def setup(service: str = "agent", endpoint: str = "", team: str = "", max_queue: int = 8192, interval: float = 1.0,
          heartbeat: float = HEARTBEAT_SECONDS, timeout: float = 10.0) -> None:
    """Starts sending. Call it once, at the start of the process; again, it begins anew.

    service   names the process, for example the agent that runs in it; OTEL_SERVICE_NAME wins
    endpoint  where OTLP over HTTP goes, else where OTEL_EXPORTER_OTLP_ENDPOINT says, else http://127.0.0.1:4318
    team      the team's name, by which dashboards and budgets are parted
    max_queue bounds the spans and log records that wait
    interval, heartbeat, timeout   seconds between batches, between signs of life of a task, and for one request

    At the end of the process what is left is sent, for at most 5 s."""
    _client.setup(service, endpoint, team, max_queue, interval, heartbeat, timeout)


def flush(seconds: float = 5.0) -> bool:
    """Waits until what was reported is sent; false when the time was too short."""
    return _client.flush(seconds)


def shutdown(seconds: float = 5.0) -> bool:
    """Sends what is left and stops; false when the time was too short."""
    return _client.close(seconds)


def stats() -> Stats:
    """What became of all that was reported since setup."""
    return replace(_client.stats)


def _after_fork() -> None:
    """A child has no thread of its parent's: it begins anew, with the same settings."""
    c = _client
    if c.on:
        c._lock, c.queue, c.running, c.stats = threading.Condition(threading.RLock()), deque(), {}, Stats()
        c.busy, c.flushing = False, 0
        c.thread = threading.Thread(target=c._run, name="mindscope", daemon=True)
        c.thread.start()


atexit.register(lambda: shutdown(5.0))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
