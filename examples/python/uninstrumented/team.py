#!/usr/bin/python3
"""A team of agents on RabbitMQ that knows nothing of telemetry: Debian's python3-pika and the standard library.

    team.py URL agent NAME             works on commands for NAME (writer, critic) until it is ended
    team.py URL orchestrate TASK...    lets the agents write an article for each task id

It speaks the mission's plain messages {id, type, from_agent, to_agent, trace_id, payload} over the exchange
mindbus.main. Started with `mindscope serve --mindbus.url URL`, MindScope shows its tasks all the same.
"""

import json
import sys
import time
import uuid

import pika

EXCHANGE = "mindbus.main"


def connect(url):
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
    return channel


def send(channel, key, kind, sender, receiver, task, payload, **properties):
    message = {
        "id": str(uuid.uuid4()), "type": kind, "from_agent": sender, "to_agent": receiver,
        "trace_id": task, "payload": payload,
    }
    channel.basic_publish(
        EXCHANGE, key, json.dumps(message),
        pika.BasicProperties(
            content_type="application/json", delivery_mode=2, message_id=message["id"], type=kind, **properties),
    )
    return message["id"]


def work(name, payload):
    """What an agent does: it takes its time, uses a model, and fails at what it cannot judge."""
    time.sleep(0.05)
    if name == "critic" and "unjudgeable" in payload["topic"]:
        raise ValueError("there is nothing to judge")
    return {
        "text": f"{name} on {payload['topic']}",
        "metrics": {"model": "gpt-4o-mini", "tokens_used": 1200, "estimated_cost_usd": 0.0125},
    }


def agent(url, name):
    channel = connect(url)
    channel.queue_declare(name + "_queue", durable=True)
    channel.queue_bind(name + "_queue", EXCHANGE, f"cmd.{name}.{name}")
    channel.basic_qos(prefetch_count=1)

    def on_command(ch, method, properties, body):
        command = json.loads(body)
        sender, task = command["from_agent"], command["trace_id"]
        try:
            kind, payload = "RESULT", work(name, command["payload"])
        except ValueError as error:
            kind = "ERROR"
            payload = {"error": {"code": "INVALID_ARGUMENT", "message": str(error), "retryable": False}}
        send(ch, f"res.{sender}.{name}", kind, name, sender, task, payload, correlation_id=command["id"])
        ch.basic_ack(method.delivery_tag)

    channel.basic_consume(name + "_queue", on_command)
    print(name, "is ready", flush=True)
    channel.start_consuming()


def orchestrate(url, tasks):
    channel = connect(url)
    answers = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(answers, EXCHANGE, "res.orchestrator.*")

    def ask(name, task, payload):
        command = send(channel, f"cmd.{name}.{name}", "COMMAND", "orchestrator", name, task, payload)
        for method, properties, body in channel.consume(answers, inactivity_timeout=30):
            if method is None:
                raise TimeoutError(f"{name} does not answer")
            channel.basic_ack(method.delivery_tag)
            if properties.correlation_id == command:
                return json.loads(body)

    for task in tasks:
        topic = "unjudgeable" if task.endswith("-bad") else "bees"
        outcome = "completed"
        for name in ("writer", "critic"):
            answer = ask(name, task, {"topic": topic})
            if answer["type"] == "ERROR":
                outcome = "failed"
                break
        send(channel, f"evt.task.{outcome}", "EVENT", "orchestrator", f"task.{outcome}", task, {"topic": topic})
        print(task, outcome, flush=True)


def main():
    url, command, *rest = sys.argv[1:]
    if command == "agent":
        agent(url, rest[0])
    else:
        orchestrate(url, rest)


if __name__ == "__main__":
    main()
