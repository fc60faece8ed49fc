#!/usr/bin/python3
"""A team as the mission's draft writes it: the metrics block on prometheus_client, and spans beside it.

team.py PORT OTLP_URL [RESOURCE_ATTRIBUTE=VALUE ...]

It serves /metrics on PORT and does what it is told on its standard input: "count" works on a task and counts it, "span"
does so and sends the task's spans as well. It answers each with a line. Stock Debian: python3-prometheus-client.
"""
import json
import secrets
import sys
import time
import urllib.request

from prometheus_client import Counter, Gauge, Histogram, start_http_server

# The mission's metrics block.
tasks_total = Counter("ai_team_tasks_total", "Total tasks", ["status"])
llm_calls_total = Counter("ai_team_llm_calls_total", "Total LLM calls", ["model", "agent"])
task_duration = Histogram("ai_team_task_duration_seconds", "Task duration", ["task_type"])
llm_latency = Histogram("ai_team_llm_latency_seconds", "LLM latency", ["model"])
tasks_in_progress = Gauge("ai_team_tasks_in_progress", "Tasks in progress")
quality_score = Histogram("ai_team_quality_score", "Quality score", buckets=[0, 2, 4, 6, 8, 10])
llm_cost_dollars = Counter("ai_team_llm_cost_dollars", "LLM cost", ["model"])
# And one of its own.
editions = Counter("press_editions_total", "Editions printed")


def attributes(values):
    def value(v):
        return {"intValue": str(v)} if isinstance(v, int) else {"doubleValue": v} if isinstance(v, float) else {"stringValue": v}
    return [{"key": k, "value": value(v)} for k, v in values.items()]


def count():
    tasks_total.labels(status="pending").inc()
    with tasks_in_progress.track_inprogress():
        with llm_latency.labels(model="gpt-4o").time():
            llm_calls_total.labels(model="gpt-4o", agent="writer").inc()
        llm_cost_dollars.labels(model="gpt-4o").inc(0.01)
        task_duration.labels(task_type="article").observe(0.001)
        quality_score.observe(8)
    tasks_total.labels(status="completed").inc()
    editions.inc()


def send(url, resource):
    trace, task, call = secrets.token_hex(16), secrets.token_hex(8), secrets.token_hex(8)
    now = time.time_ns()
    def span(span_id, parent, name, kind, attrs):
        return {"traceId": trace, "spanId": span_id, "parentSpanId": parent, "name": name, "kind": kind,
                "startTimeUnixNano": str(now - 1_000_000), "endTimeUnixNano": str(now), "attributes": attributes(attrs)}
    spans = [
        span(call, task, "chat gpt-4o", 3, {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
                                            "gen_ai.agent.name": "writer", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}),
        span(task, "", "execute_task", 1, {"gen_ai.operation.name": "invoke_workflow", "ai_team.task.id": "task-" + trace[:8],
                                           "ai_team.task.type": "article", "ai_team.quality_score": 8.0}),
    ]
    body = {"resourceSpans": [{"resource": {"attributes": attributes(resource)}, "scopeSpans": [{"spans": spans}]}]}
    request = urllib.request.Request(url + "/v1/traces", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        response.read()


def main():
    port, url, *resource = sys.argv[1:]
    start_http_server(int(port), addr="127.0.0.1")
    print("ready", flush=True)
    for line in sys.stdin:
        count()
        if line.strip() == "span":
            send(url, dict(r.split("=", 1) for r in resource))
        print("done", flush=True)


main()
