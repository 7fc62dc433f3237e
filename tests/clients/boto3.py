"""boto3: one client of S3, which all tasks share, as its documentation advises; moto serves."""

from typing import Any

import boto3
from botocore.config import Config

from tests.clients.client import Client, Place, Question


class Shared(Client):
    """All tasks have one client."""

    server = "moto"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.client = boto3.session.Session().client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{place.port}",
            region_name="us-east-1",
            aws_access_key_id="fibril",
            aws_secret_access_key="fibril",
            config=Config(
                max_pool_connections=self.crowd,
                retries={"total_max_attempts": 1},
                proxies={},
                s3={"addressing_style": "path"},
            ),
        )
        self.client.create_bucket(Bucket="fibril")

    def connect(self, limit_s: float | None = None) -> Any:
        return self.client

    def ask(self, connection: Any, question: Question) -> int:
        place = {"Bucket": "fibril", "Key": f"{question.mark}{question.number}"}
        connection.put_object(**place, Body=str(question.number).encode())
        return int(connection.get_object(**place)["Body"].read())

    def close(self, connection: Any) -> None:
        pass

    def end(self) -> None:
        self.client.close()
