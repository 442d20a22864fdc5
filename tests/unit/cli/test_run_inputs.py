"""How `lakehouse run` makes prompts of rows, and what it refuses, row by row."""

import datetime as dt
import decimal
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.cli.run_inputs import Input, Inputs, PromptTemplate, RefusedRow
from lakehouse.core.errors import SetupError


def read(path: Path, content: bytes | pa.Table, **options: Any) -> list[Input | RefusedRow]:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        pq.write_table(content, path)
    column = None if "template" in options else "text"
    return list(Inputs(path, column, **{"template": None, **options}).read())


def told(rows: list[Input | RefusedRow]) -> list[str]:
    return [row.text if isinstance(row, Input) else row.reason for row in rows]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text":null}', "'text' is null"),
        (b'{"text":NaN}', "NaN is not JSON"),
        (b'{"text":Infinity}', "Infinity is not JSON"),
        (b'{"other":"x"}', "column 'text' is missing"),
        (b'{"text":"a","text":"b"}', "duplicate member 'text'"),
        (b'{"text":"x","o":{"p":1,"p":2}}', "duplicate member 'p'"),
        (b'{"text":"\\ud800"}', "lone surrogate"),
        (b'{"text":"\xff"}', "invalid UTF-8"),
        (b'{"text":true}', "'text' is a boolean"),
        (b'{"text":["a"]}', "'text' is a list"),
        (b'{"text":{"a":1}}', "'text' is an object"),
        (b'{"text":""}', "the prompt is blank"),
        (b'{"text":" \\n\\t\\u00a0"}', "the prompt is blank"),
        (b'{"text":"\\u200b\\ufeff"}', "the prompt is blank"),
        (b'{"text":"\\u0000\\u2060 "}', "the prompt is blank"),
        (b'["text"]', "it is not an object"),
        (b'{"text":"x"', "character"),
        (b'{"text":"x"} {"text":"y"}', "character"),
    ],
)
def test_a_line_that_gives_no_prompt_is_refused_and_the_rest_goes_on(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    rows = read(tmp_path / "t.jsonl", b'{"text":"a"}\n\n' + line + b'\r\n{"text":"b"}')
    assert [type(row) for row in rows] == [Input, RefusedRow, Input]
    assert [row.index for row in rows] == [0, 1, 2]
    assert told(rows)[1].startswith("row 1 (line 3): ")
    assert reason in told(rows)[1]


def test_numbers_are_prompts_as_they_are_written(tmp_path: Path) -> None:
    numbers = ["1e400", "1.10", "-0", "123456789012345678901234567890", "1E-7"]
    content = "".join(f'{{"text":{number}}}\n' for number in numbers).encode()
    assert told(read(tmp_path / "t.jsonl", b"\xef\xbb\xbf" + content)) == numbers


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1", "it has 1 cells, the header has 2"),
        (b"1,x,y", "it has 3 cells, the header has 2"),
        (b"1,", "'text' is null"),
        (b'1,""', "the prompt is blank"),
        (b"1,  ", "the prompt is blank"),
        (b"1,caf\xe9", "invalid UTF-8 at byte 5"),
        (b'1,"x"y', "a quote in a cell is doubled"),
    ],
)
def test_a_csv_row_that_gives_no_prompt_is_refused_and_the_rest_goes_on(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    rows = read(tmp_path / "t.csv", b'id,text\r\n0,"a\r\nb"\r\n' + line + b"\r\n2,c\r\n")
    assert told([rows[0], rows[2]]) == ["a\r\nb", "c"]
    assert told(rows)[1].startswith("row 1 (line 4): ")
    assert reason in told(rows)[1]


def test_a_quote_that_never_closes_is_told_where_it_opens(tmp_path: Path) -> None:
    rows = read(tmp_path / "t.csv", b'text\na\n"b\nc\n')
    assert told(rows) == [
        "a",
        "row 1 (line 3): a quote is opened and never closed; nothing after it was read",
    ]


@pytest.mark.parametrize("size", [200_000, 3_000_000])
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_long_cell_is_a_prompt(tmp_path: Path, name: str, size: int) -> None:
    long = "x" * size
    content: dict[str, bytes | pa.Table] = {
        "t.csv": f"text\n{long}\n".encode(),
        "t.jsonl": f'{{"text":"{long}"}}\n'.encode(),
        "t.parquet": pa.table({"text": [long]}),
    }
    assert told(read(tmp_path / name, content[name])) == [long]


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([decimal.Decimal("1.10")]), ["1.10"]),
        (pa.array([dt.date(2024, 5, 1)]), ["2024-05-01"]),
        (pa.array([0], pa.timestamp("ms", "UTC")), ["1970-01-01T00:00:00Z"]),
        (pa.array([0.1], pa.float32()), ["0.1"]),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (pa.array(["a", None]).dictionary_encode(), ["a", "row 1: 'text' is null; it must be"]),
        (
            pa.array([float("nan"), 1.5]),
            ["row 0: column 'text' is nan, which is not a JSON number", "1.5"],
        ),
        (pa.array([True]), ["row 0: 'text' is a boolean; it must be text or a number"]),
    ],
)
def test_cells_of_parquet(tmp_path: Path, column: pa.Array, texts: list[str]) -> None:
    found = told(
        read(tmp_path / "t.parquet", pa.table({"text": column, "b": [b"x"] * len(column)}))
    )
    assert len(found) == len(texts)
    for one, expected in zip(found, texts, strict=True):
        assert one.startswith(expected)


def test_text_of_parquet_that_is_not_utf8_is_refused_by_its_row(tmp_path: Path) -> None:
    offsets, data = pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")
    column = pa.StringArray.from_buffers(2, offsets, data)
    assert told(read(tmp_path / "t.parquet", pa.table({"text": column}))) == [
        "a",
        "row 1: column 'text': invalid UTF-8 at byte 0",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "it has no header: the file is empty"),
        ("t.csv", b"\n\n", "it has no header: the file is empty"),
        ("t.csv", b"text,text\na,b\n", "more than one column 'text'"),
        ("t.csv", b"txt\na\n", "no column 'text' (did you mean 'txt'?); its columns are txt"),
        ("t.csv", b"id;text\n1;a\n", "seems to be separated by ';'; save it with commas"),
        ("t.csv", b"id\ttext\n1\ta\n", "seems to be separated by '\\t'"),
        ("t.csv", b"te\xe9xt\na\n", "the header: invalid UTF-8"),
        ("t.csv", "text\na\n".encode("utf-16"), "it is UTF-16"),
        ("t.csv", "text\na\n".encode("utf-16-be"), "it is UTF-16 or binary"),
        ("t.jsonl", '{"text":"a"}'.encode("utf-16"), "it is UTF-16"),
        ("t.jsonl", '{"text":"a"}'.encode("utf-32"), "it is UTF-"),
        ("t.csv", b"\x1f\x8b\x08\x00abcd", "compressed (gzip)"),
        ("t.csv", b"PK\x03\x04abcd", "workbook"),
        ("t.jsonl", b'{"txt":1}\n{"b":1}\n', "did you mean 'txt'"),
        ("t.parquet", b"", "0 bytes"),
        ("t.parquet", b"PAR1garbagePAR1", "arquet"),
        ("t.parquet", pa.table({"text": [b"x"]}), "column 'text': its type is binary"),
        ("t.parquet", pa.table({"txt": ["x"]}), "did you mean 'txt'"),
        ("t.csv.gz", b"x", "must end in one of"),
        ("t.xlsx", b"x", "must end in one of"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_message(
    tmp_path: Path, name: str, content: Any, message: str
) -> None:
    with pytest.raises(SetupError) as caught:
        read(tmp_path / name, content)
    assert message in caught.value.public
    assert name in caught.value.public


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_pipe_is_refused_and_never_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(SetupError, match="not a regular file"):
        list(Inputs(tmp_path / name, "text", None).read())


@pytest.mark.parametrize(
    ("name", "content"), [("t.csv", b"text\n"), ("t.jsonl", b"\n"), ("t.csv", b"\xef\xbb\xbftext")]
)
def test_a_file_without_rows_has_no_inputs(tmp_path: Path, name: str, content: bytes) -> None:
    assert read(tmp_path / name, content) == []


def template(path: Path, text: str) -> PromptTemplate:
    (path / "t.j2").write_text(text)
    return PromptTemplate(path / "t.j2")


def test_a_template_makes_the_prompt_of_several_columns(tmp_path: Path) -> None:
    made = template(tmp_path, "{{ a }}: {{ b | default('-') }} {{ c | tojson }}\n")
    content = b'{"a":1.10,"b":"x","c":[1,true,"<&"],"d":1}\n{"a":"y","b":null,"c":{"k":null}}\n'
    assert told(read(tmp_path / "t.jsonl", content, template=made)) == [
        '1.10: x [1,true,"<&"]\n',
        'y: - {"k":null}\n',
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ a }} {{ b }}", "'b' is undefined"),
        ("{{ c }}", "is neither text nor a number"),
        ("{{ flag }}", "True is neither text nor a number"),
        ("{{ a.__class__ }}", "unsafe"),
        ("{{ ''.__class__.__mro__ }}{{ a }}", "unsafe"),
        ("{% include 'x' %}{{ a }}", "no loader"),
        ("{{ 1 / 0 }}{{ a }}", "division by zero"),
        ("{% for i in range(10**9) %}{{ a }}{% endfor %}", "Range too big"),
        ("{% if c %}{% endif %}", "the prompt is blank"),
    ],
)
def test_a_row_that_a_template_cannot_take_is_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    made = template(tmp_path, text)
    content = b'{"a":"x","b":null,"c":[1],"flag":true}\n'
    (found,) = told(read(tmp_path / "t.jsonl", content, template=made))
    assert found.startswith("row 0 (line 1): ")
    assert reason in found


@pytest.mark.parametrize(
    ("text", "message"),
    [("{{ a", "line 1: not a Jinja2 template"), ("a\n{% nope %}", "line 2"), ("a", "no column")],
)
def test_what_is_no_template_is_refused_at_start(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SetupError) as caught:
        template(tmp_path, text)
    assert message in caught.value.public


def test_columns_go_along_as_they_came(tmp_path: Path) -> None:
    content = b'{"text":"a","id":1.10,"tag":"x"}\n{"text":null,"id":[1],"tag":null}\n'
    options = {"keep": ("id",), "metadata": ("tag",)}
    first, second = read(tmp_path / "t.jsonl", content, **options)
    assert isinstance(first, Input)
    assert (bytes(first.kept["id"]), first.metadata) == (b"1.10", {"tag": "x"})
    assert bytes(second.kept["id"]) == b"[1]"
