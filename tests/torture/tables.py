"""Libraries of tables and the languages that ask them: sqlite3, duckdb, pandas, polars, pyarrow."""

from typing import Any

from tests.torture.work import Work, library, nested

ROWS = 2000


def either(n: int) -> str:
    return " or ".join(f"a = {number}" for number in range(n))


@library
def sqlite3() -> Work:
    import sqlite3

    work = Work()

    def ask(question: str) -> list[Any]:
        with sqlite3.connect(":memory:") as connection:
            connection.execute("create table t(a int, b text)")
            connection.execute("insert into t values (5, 'x')")
            connection.create_function(
                "again", 1, lambda n: ask(f"select again({n - 1})")[0][0] if n else 0
            )
            return connection.execute(question).fetchall()

    def subqueries(n: int) -> list[Any]:
        question = "select a from t"
        for number in range(n):
            question = f"select a from ({question} limit 1) where a > {-number}"
        return ask(question)

    def triggers(n: int) -> int:
        with sqlite3.connect(":memory:") as connection:
            connection.execute("pragma recursive_triggers = on")
            connection.execute("create table c(n int)")
            connection.execute(
                "create trigger more after insert on c when new.n > 0 "
                "begin insert into c values (new.n - 1); end"
            )
            connection.execute("insert into c values (?)", (n,))
            return connection.execute("select count(*) from c").fetchone()[0]

    tree = "with recursive c(n) as (select 1 union all select n + 1 from c where n < 20000)"
    for n in (100, 300, 600, 990):
        work.value(f"or {n}", lambda n=n: ask(f"select a from t where {either(n)}"))
        work.value(f"sum {n}", lambda n=n: ask("select " + "+".join(["1"] * n)))
        work.value(f"text {n}", lambda n=n: ask("select " + "||".join(["'a'"] * n)))
    work.value("recursive", lambda: ask(f"{tree} select sum(n) from c"))
    work.value("triggers", lambda: triggers(900))
    work.limit("or", lambda n: ask(f"select a from t where {either(n)}"), 2000)
    work.limit("brackets", lambda n: ask("select " + "(" * n + "1" + ")" * n), 2000)
    work.limit("calls", lambda n: ask("select " + "abs(" * n + "1" + ")" * n), 2000)
    work.limit(
        "cases", lambda n: ask("select " + "case when 0 then 1 else " * n + "1" + " end" * n), 2000
    )
    work.limit("not", lambda n: ask("select " + "not " * n + "1"), 2000)
    work.limit("union", lambda n: ask(" union all ".join(["select 1"] * n)), 2000)
    work.limit("subqueries", subqueries, 70)
    work.limit("triggers", triggers, 1500)
    work.limit("functions that ask", lambda n: ask(f"select again({n})"), 200)
    return work


@library
def duckdb() -> Work:
    import duckdb

    work = Work()

    def ask(question: str) -> list[Any]:
        with duckdb.connect(":memory:", config={"threads": 2}) as connection:
            connection.execute(f"create table t as select range a, range % 7 b from range({ROWS})")
            return connection.execute(question).fetchall()

    def subqueries(n: int) -> list[Any]:
        question = "select max(a) a from t"
        for _ in range(n):
            question = f"select a from ({question}) where a > 0"
        return ask(question)

    tree = "with recursive c(n) as (select 1 union all select n + 1 from c where n < 200)"
    work.value("group", lambda: ask("select b, sum(a), avg(a) from t group by b order by b"))
    work.value(
        "window", lambda: ask("select sum(a) over (partition by b order by a) s from t order by s")
    )
    work.value("join", lambda: ask("select count(*) from t x join t y on x.b = y.b"))
    work.value("recursive", lambda: ask(f"{tree} select sum(n) from c"))
    work.value("lists", lambda: ask("select list_transform(range(9), lambda x: x * 2)"))
    work.value("subqueries", lambda: subqueries(30))
    work.limit("sum", lambda n: ask("select " + "+".join(["a"] * n) + " from t limit 1"), 300)
    work.limit("brackets", lambda n: ask("select " + "(" * n + "1" + ")" * n), 1500)
    work.limit("calls", lambda n: ask("select " + "abs(" * n + "1" + ")" * n), 1500)
    work.limit("or", lambda n: ask(f"select a from t where {either(n)}"), 1500)
    work.limit("types", lambda n: ask(f"select null::int{'[]' * n}"), 200)
    work.limit("union", lambda n: ask(" union all ".join(["select 1"] * n)), 300)
    return work


@library
def pandas() -> Work:
    import io

    import numpy as np
    import pandas as pd

    work = Work()
    frame = pd.DataFrame({"a": np.arange(ROWS), "b": np.arange(ROWS) % 7, "c": "x"})
    text = frame.to_csv()
    work.value("group", lambda: frame.groupby("b").a.agg(["sum", "mean", "std"]).to_json())
    work.value("merge", lambda: len(frame[:300].merge(frame[:300], on="b")))
    work.value("csv", lambda: pd.read_csv(io.StringIO(text)).a.sum().item())
    work.value("json", lambda: pd.read_json(io.StringIO(frame.to_json())).b.sum().item())
    work.value("rolling", lambda: frame.a.rolling(9).median().sum().item())
    work.value("pivot", lambda: frame.pivot_table(index="b", values="a").to_json())
    times = pd.Series(range(99), index=pd.date_range("2024", periods=99, freq="h"))
    work.value("times", lambda: times.resample("D").sum().to_json())
    work.value("query", lambda: len(frame.query(" or ".join(f"a == {n}" for n in range(30)))))
    work.limit("query", lambda n: frame.query("+".join(["a"] * n) + " > 5", engine="python"), 60)
    work.limit("json", lambda n: pd.Series([nested(n)]).to_json(), 2000)
    work.limit("normalize", lambda n: pd.json_normalize(nested(n, lambda i: {"a": i})), 500)
    return work


@library
def polars() -> Work:
    """It may leave the stack of whom it runs on, when it thinks that little is left."""
    import polars as pl

    work = Work()
    frame = pl.DataFrame({"a": range(ROWS), "b": [n % 7 for n in range(ROWS)]})

    def chain(n: int) -> Any:
        expression = pl.col("a")
        for _ in range(n):
            expression = expression + 1
        return frame.lazy().select(expression).collect()["a"].sum()

    def plans(n: int) -> Any:
        lazy = frame.lazy()
        for _ in range(n):
            lazy = lazy.with_columns(a=pl.col("a") + pl.col("b"))
        return lazy.collect()["a"].sum()

    work.value("group", lambda: frame.group_by("b").agg(pl.col("a").sum()).sort("b").rows())
    work.value("join", lambda: frame.join(frame, on="b").height)
    work.value("sort", frame.sort("b", "a")["a"].to_list)
    work.value("expression", lambda: chain(400))
    work.value("plan", lambda: plans(50))
    work.value("sql", lambda: frame.sql(f"select sum(a) from self where {either(50)}").rows())
    work.value("json", lambda: len(frame.write_json()))
    work.limit("expression", chain, 600)
    work.limit("plan", plans, 100)
    work.limit("lists", lambda n: pl.Series([nested(n)]).dtype, 60)
    work.limit("sql brackets", lambda n: frame.sql("select " + "(" * n + "1" + ")" * n), 300)
    return work


@library
def pyarrow() -> Work:
    import io

    import pyarrow as pa
    from pyarrow import compute, csv, json, parquet

    work = Work()
    table = pa.table({"a": range(ROWS), "b": [str(n % 7) for n in range(ROWS)]})

    def parquet_of(source: Any) -> Any:
        file = pa.BufferOutputStream()
        parquet.write_table(source, file)
        return parquet.read_table(pa.BufferReader(file.getvalue())).num_rows

    def stream_of(n: int) -> Any:
        file = pa.BufferOutputStream()
        column = pa.table({"a": pa.array([nested(n)])})
        with pa.ipc.new_stream(file, column.schema) as writer:
            writer.write_table(column)
        return pa.ipc.open_stream(file.getvalue()).read_all().num_rows

    def expression(n: int) -> Any:
        made = compute.field("a")
        for _ in range(n):
            made = made + 1
        return table.filter(made > 5).num_rows

    text = "\n".join(f"{n},{n % 7}" for n in range(ROWS)).encode()
    work.value(
        "group", lambda: sorted(table.group_by("b").aggregate([("a", "sum")])["a_sum"].to_pylist())
    )
    work.value("sort", table.sort_by([("b", "ascending"), ("a", "descending")])["a"].to_pylist)
    work.value("join", lambda: table.join(table, "a", right_suffix="r").num_rows)
    work.value("csv", lambda: csv.read_csv(io.BytesIO(text)).num_rows)
    work.value("json", lambda: json.read_json(io.BytesIO(b'{"a": [[1]]}\n' * 99)).num_rows)
    work.value("parquet", lambda: parquet_of(table))
    work.limit("lists", lambda n: pa.array([nested(n)]).to_pylist(), 300)
    work.limit("types", lambda n: str(nested(n, lambda t: pa.list_(t or pa.int8()))), 500)
    work.limit("stream", stream_of, 100)
    work.limit("parquet", lambda n: parquet_of(pa.table({"a": pa.array([nested(n)])})), 60)
    work.limit("expression", expression, 400)
    return work
