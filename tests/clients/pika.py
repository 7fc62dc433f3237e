"""pika: what is asked by way of RabbitMQ, and answered by another program (answerer.py), later."""

from typing import Any

import pika

from tests.clients.client import Client, Question

QUEUE = "fibril"
REPLY = "amq.rabbitmq.reply-to"


class Asker:
    """A BlockingConnection with a channel, and the answers that have come."""

    def __init__(self, port: int) -> None:
        parameters = pika.ConnectionParameters("127.0.0.1", port)
        self.connection = pika.BlockingConnection(parameters)
        self.answers: list[bytes] = []
        self.channel = self.connection.channel()
        self.channel.queue_declare(QUEUE)
        self.channel.basic_consume(
            REPLY, lambda *args: self.answers.append(args[-1]), auto_ack=True
        )

    def ask(self, question: bytes) -> bytes:
        properties = pika.BasicProperties(reply_to=REPLY)
        self.channel.basic_publish("", QUEUE, question, properties)
        while not self.answers:
            self.connection.process_data_events(time_limit=None)
        return self.answers.pop()


class Own(Client):
    """Each task has a connection."""

    server = "rabbitmq"
    storm = 15  # RabbitMQ takes its time to open a connection

    def connect(self, limit_s: float | None = None) -> Any:
        return Asker(self.place.port)

    def ask(self, connection: Any, question: Question) -> int:
        text = f"{question.gate_mark} {question.delay_s} {question.number}"
        return int(connection.ask(text.encode()))

    def close(self, connection: Any) -> None:
        connection.connection.close()
