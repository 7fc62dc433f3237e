"""Answers what is asked by way of RabbitMQ, each after its time. A program, not a test.

    python -m tests.clients.answerer PORT

A question is three words: a mark, which is the relay's, after how many seconds, and what to answer.
"""

import sys
import time
from typing import Any

import pika

LIMIT_S = 150.0
QUEUE = "fibril"


def connect(port: int) -> Any:
    """The broker is just starting."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port))
        except pika.exceptions.AMQPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def main() -> None:
    connection = connect(int(sys.argv[1]))

    def answer(channel: Any, _: Any, properties: Any, body: bytes) -> None:
        _, delay_s, number = body.split()

        def reply() -> None:
            channel.basic_publish("", properties.reply_to, number)

        connection.call_later(float(delay_s), reply)

    channel = connection.channel()
    channel.queue_declare(QUEUE)
    channel.basic_consume(QUEUE, answer, auto_ack=True)
    channel.start_consuming()


if __name__ == "__main__":
    main()
