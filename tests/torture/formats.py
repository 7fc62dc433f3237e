"""Libraries that write data down and read it: each with its own idea of how deep is too deep."""

from typing import Any, Optional

from tests.torture.work import Work, library, nested

RECORDS = [
    {"name": f"n{i}", "values": list(range(i)), "inner": {"a": 1.5, "b": None}} for i in range(100)
]


def brackets(levels: int) -> str:
    return "[" * levels + "]" * levels


def braces(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def reads_and_writes(work: Work, dumps: Any, loads: Any, high: int) -> None:
    """What every one of them does."""
    work.value("there and back", lambda: loads(dumps(RECORDS)) == RECORDS)
    work.limit("dumps", lambda n: dumps(nested(n, lambda i: [i])), high)
    work.limit("dumps of maps", lambda n: dumps(nested(n, lambda i: {"a": i})), high)
    work.limit("there and back", lambda n: loads(dumps(nested(n, lambda i: [i]))), high)


@library
def json() -> Work:
    import json

    work = Work()
    reads_and_writes(work, json.dumps, json.loads, 20_000)
    work.limit("loads", lambda n: json.loads(brackets(n)), 20_000)
    work.limit("loads of objects", lambda n: json.loads(braces(n)), 20_000)
    work.limit("indented", lambda n: json.dumps(nested(n), indent=1), 1000)
    return work


@library
def ujson() -> Work:
    import ujson

    work = Work()
    reads_and_writes(work, ujson.dumps, ujson.loads, 2000)
    work.limit("loads", lambda n: ujson.loads(brackets(n)), 2000)
    work.limit("loads of objects", lambda n: ujson.loads(braces(n)), 2000)
    return work


@library
def orjson() -> Work:
    import orjson

    work = Work()
    reads_and_writes(work, orjson.dumps, orjson.loads, 2000)
    work.limit("loads", lambda n: orjson.loads(brackets(n)), 2000)
    work.limit("loads of objects", lambda n: orjson.loads(braces(n)), 2000)
    work.limit(
        "default", lambda n: orjson.dumps(0j, default=lambda _: nested(n, lambda i: [i])), 2000
    )
    return work


@library
def msgpack() -> Work:
    import msgpack

    work = Work()
    reads_and_writes(work, msgpack.packb, msgpack.unpackb, 3000)
    work.limit("unpack", lambda n: msgpack.unpackb(b"\x91" * n + b"\xc0"), 3000)
    return work


@library
def cbor2() -> Work:
    import cbor2

    work = Work()
    reads_and_writes(work, cbor2.dumps, cbor2.loads, 3000)
    work.limit("loads", lambda n: cbor2.loads(b"\x81" * n + b"\xf6"), 3000)
    work.limit("tags", lambda n: cbor2.loads(b"\xd9\xd9\xf7" * n + b"\xf6"), 3000)
    return work


@library
def pydantic() -> Work:
    import json

    from pydantic import BaseModel, TypeAdapter

    work = Work()

    class Node(BaseModel):
        value: int = 0
        inner: Optional["Node"] = None

    class Tree(BaseModel):
        leaves: list["Tree | int"] = []

    adapter = TypeAdapter(list[dict[str, Node | list[int]]])
    rows = [{"a": {"value": i}, "b": [i, i]} for i in range(300)]

    def data(n: int) -> Any:
        return nested(n, lambda inner: {"value": 1, "inner": inner})

    def model(n: int) -> Node:
        return nested(n, lambda inner: Node.model_construct(value=1, inner=inner))

    def text(n: int) -> str:
        return '{"value":1,"inner":' * n + "null" + "}" * n

    work.value("rows", lambda: adapter.dump_json(adapter.validate_python(rows)))
    work.value("schema", lambda: json.dumps(Tree.model_json_schema()))
    work.value("errors", lambda: outcome_of(lambda: Node(value="x", inner={"value": "y"})))
    work.limit("validate python", lambda n: Node.model_validate(data(n)), 3000)
    work.limit("validate json", lambda n: Node.model_validate_json(text(n)), 3000)
    work.limit("dump", lambda n: model(n).model_dump(), 3000)
    work.limit("dump json", lambda n: model(n).model_dump_json(), 3000)
    work.limit("copy", lambda n: model(n).model_copy(deep=True), 1000)
    work.limit("repr", lambda n: repr(model(n)), 2000)
    work.limit("equal", lambda n: model(n) == model(n), 2000)
    work.limit(
        "validate a tree", lambda n: Tree.model_validate({"leaves": [nested(n, tree_of)]}), 1000
    )
    work.limit(
        "nested types", lambda n: TypeAdapter(nested(n, lambda t: list[t or int])).core_schema, 300
    )
    return work


def tree_of(inner: Any) -> dict[str, Any]:
    return {"leaves": [inner or 1, 2]}


def outcome_of(fail: Any) -> str:
    try:
        fail()
    except ValueError as error:
        return str(error)
    return "no error"


@library
def protobuf() -> Work:
    from google.protobuf import json_format, struct_pb2, text_format

    work = Work()

    def value(n: int) -> Any:
        """A value that is a list of a value; made from the outside, without recursion."""
        top = struct_pb2.Value()
        inner = top
        for _ in range(n):
            inner = inner.list_value.values.add()
        inner.number_value = 1
        return top

    def there_and_back(n: int) -> Any:
        return struct_pb2.Value.FromString(value(n).SerializeToString())

    work.value("there and back", lambda: there_and_back(40).SerializeToString())
    work.value("json", lambda: json_format.MessageToJson(value(40)))
    work.limit("there and back", there_and_back, 2000)
    work.limit("write", lambda n: value(n).SerializeToString(), 2000)
    work.limit("copy", lambda n: struct_pb2.Value().CopyFrom(value(n)), 2000)
    work.limit("equal", lambda n: value(n) == value(n), 2000)
    work.limit("text", lambda n: text_format.MessageToString(value(n)), 500)
    work.limit("from json", lambda n: json_format.Parse(brackets(n), struct_pb2.Value()), 500)
    return work
