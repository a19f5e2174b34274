import ast
import csv
import gzip
import inspect
import json
import pydoc
import sys
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from twinsae.sae.activations import builtin_documents, documents


@pytest.fixture(scope="module")
def builtin() -> list[str]:
    return builtin_documents()


def test_builtin_has_every_topic_and_docstrings_of_the_library(builtin: list[str]) -> None:
    assert set(topics.values()) <= set(builtin)
    together = "\n".join(builtin)
    assert ast.get_docstring(ast.parse(Path(pydoc.__file__).read_text())) in together
    assert inspect.getdoc(json.dumps) in together
    assert len(together) > 1_000_000


def test_builtin_imports_nothing_and_leaves_tests_out(builtin: list[str]) -> None:
    assert "turtledemo.clock" not in sys.modules
    assert "this" not in sys.modules
    # How test/test_picklebuffer.py begins.
    assert not any("Unit tests for the PickleBuffer object" in document for document in builtin)


def test_builtin_has_no_document_twice(builtin: list[str]) -> None:
    assert len(set(builtin)) == len(builtin)
    assert all(document.strip() for document in builtin)


def test_a_beginning_of_builtin_mixes_topics_and_modules(builtin: list[str]) -> None:
    beginning = builtin[: len(builtin) // 4]
    expected = len(topics) / 4
    assert expected / 2 < len(set(beginning) & set(topics.values())) < expected * 2


def test_broken_sources_of_the_library_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good.py").write_text('"""Module."""\ndef f():\n    """Function."""\n')
    (tmp_path / "twin.py").write_text('"""Other."""\nclass C:\n    """Module."""\n')
    (tmp_path / "broken.py").write_text('"""Lost."""\ndef f(:\n')
    (tmp_path / "null.py").write_bytes(b"\0")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "case.py").write_text('"""A test."""\n')
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"stdlib": str(tmp_path)})

    found = set(builtin_documents()) - set(topics.values())
    assert found == {"Module.\n\nFunction.", "Other."}
    # The same every time, and in an order that is not that of the files.
    assert list(documents("builtin")) == builtin_documents()
    assert builtin_documents()[: len(topics)] != [topics[name] for name in sorted(topics)]


def test_a_text_file_is_one_document(tmp_path: Path) -> None:
    path = tmp_path / "book.tex"
    path.write_text("First.\n\nSecond: ü.\n", encoding="utf-8")
    assert list(documents(str(path))) == ["First.\n\nSecond: ü.\n"]


def test_a_folder_is_read_recursively_in_the_order_of_its_paths(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "one.md").write_text("3")
    (tmp_path / "a.txt").write_text("1")
    (tmp_path / "a.jsonl").write_text('{"text": "0"}\n{"text": " "}\n{"text": "0b"}\n')
    (tmp_path / "b.rst").write_text("2")
    (tmp_path / "blank.txt").write_text(" \n")
    (tmp_path / "picture.png").write_bytes(b"\xff\xfe")
    expected = [
        text
        for name, texts in sorted(
            {"a.jsonl": ["0", "0b"], "a.txt": ["1"], "b.rst": ["2"], "b/one.md": ["3"]}.items(),
            key=lambda item: Path(item[0]),
        )
        for text in texts
    ]
    assert list(documents(str(tmp_path))) == expected


def test_jsonl_takes_the_column_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": "x", "text": 1}\n')
    assert list(documents(str(path), column="body")) == ["x"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "a.jsonl, line 2: not JSON"),
        ("[1]", "a.jsonl, line 2: expected a JSON object with the key 'text'"),
        ('{"text": 3}', "a.jsonl, line 2: expected text in column 'text', it is int"),
        ('{"body": ""}', r"a.jsonl, line 2: expected text in column 'text', there is \['body'\]"),
    ],
)
def test_a_wrong_jsonl_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n' + line + "\n")
    with pytest.raises(ValueError, match=message):
        list(documents(str(path)))


def test_missing_text_is_refused_at_once() -> None:
    with pytest.raises(FileNotFoundError, match="text 'no/such' is no file or folder"):
        documents("no/such")


def test_a_folder_without_text_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no \.txt, \.md, .* \.parquet file"):
        documents(str(tmp_path))


def test_blank_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("  \n")
    with pytest.raises(ValueError, match="holds no text"):
        documents(str(tmp_path))


def test_text_that_is_not_utf8_is_refused_naming_the_file(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.txt is not UTF-8 text: byte 3"):
        documents(str(tmp_path))


@pytest.fixture
def rows() -> dict[str, list]:
    return {"text": ["one", "two", " ", "three"], "number": [1, 2, 3, 4]}


def test_a_data_set_is_streamed(tmp_path: Path, rows: dict[str, list]) -> None:
    lines = [
        json.dumps({name: values[i] for name, values in rows.items()})
        for i in range(len(rows["text"]))
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    assert list(documents(f"hf:{tmp_path}")) == ["one", "two", "three"]
    assert list(documents(f"hf:{tmp_path}:default")) == ["one", "two", "three"]


def test_a_saved_data_set_is_read(tmp_path: Path, rows: dict[str, list]) -> None:
    saved = datasets.Dataset.from_dict(rows)
    saved.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"test": saved}).save_to_disk(str(tmp_path / "splits"))

    assert list(documents(str(tmp_path / "one"))) == ["one", "two", "three"]
    assert list(documents(str(tmp_path / "splits"), split="test")) == ["one", "two", "three"]
    with pytest.raises(ValueError, match=r"has no split 'train', only \['test'\]"):
        documents(str(tmp_path / "splits"))
    with pytest.raises(
        ValueError, match=r"one', row 0: expected text in column 'number', it is int"
    ):
        documents(str(tmp_path / "one"), column="number")
    with pytest.raises(ValueError, match=r"in column 'body', there is \['text', 'number'\]"):
        documents(str(tmp_path / "one"), column="body")


def test_a_data_set_that_cannot_be_opened_gives_one_line(tmp_path: Path) -> None:
    source = f"hf:{tmp_path / 'none'}"
    with pytest.raises(ValueError, match="cannot be opened") as caught:
        documents(source)
    assert source in str(caught.value)
    assert "\n" not in str(caught.value)
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.parquet' cannot be opened: it is a file here, whose"):
        documents(f"hf:{tmp_path / 'a.parquet'}")


TEXTS = ['First, "so".\nSecond line: ü.', None, "two", " \n", "", "three"]


def write_jsonl(folder: Path, texts: list) -> Path:
    path = folder / "a.jsonl"
    path.write_text("\n".join(json.dumps({"n": 1, "text": text}) for text in texts) + "\n")
    return path


def write_jsonl_gz(folder: Path, texts: list) -> Path:
    path = folder / "a.jsonl.gz"
    path.write_bytes(gzip.compress(write_jsonl(folder, texts).read_bytes()))
    (folder / "a.jsonl").unlink()
    return path


def write_json(folder: Path, texts: list) -> Path:
    path = folder / "a.json"
    path.write_text(json.dumps([{"text": text} for text in texts]))
    return path


def write_json_strings(folder: Path, texts: list) -> Path:
    path = folder / "a.json"
    path.write_text(json.dumps(texts))
    return path


def write_parquet(folder: Path, texts: list) -> Path:
    path = folder / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"n": range(len(texts)), "text": texts}), path)
    return path


def write_saved(folder: Path, texts: list) -> Path:
    path = folder / "saved"
    datasets.Dataset.from_dict({"text": texts}).save_to_disk(str(path))
    return path


@pytest.mark.parametrize(
    "write",
    [write_jsonl, write_jsonl_gz, write_json, write_json_strings, write_parquet, write_saved],
)
@pytest.mark.parametrize("inside", [False, True])
def test_rows_without_text_are_passed_over_and_counted(
    tmp_path: Path, write: Callable[[Path, list], Path], inside: bool
) -> None:
    path = write(tmp_path, TEXTS)
    if inside and path.is_file():
        path = path.parent
    found = documents(str(path))
    assert list(found) == [TEXTS[0], "two", "three"]
    assert found.skipped == {"blank": 2, "null": 1}


@pytest.mark.parametrize("write", [write_jsonl, write_json_strings, write_parquet, write_saved])
def test_rows_with_no_text_at_all_are_refused(
    tmp_path: Path, write: Callable[[Path, list], Path]
) -> None:
    path = write(tmp_path, [None, "", " ", None])
    with pytest.raises(ValueError, match="holds no text: 2 blank and 2 null rows"):
        documents(str(path))


def test_blank_lines_of_jsonl_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n\n{"text": "two"}\n   \n')
    found = documents(str(path))
    assert list(found) == ["one", "two"]
    assert found.skipped == {"blank": 2, "null": 0}


def test_csv_as_a_spreadsheet_writes_it(tmp_path: Path) -> None:
    long = "x" * 200_000  # the csv module's own limit is 131,072
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["text", "n"], ['First,\r\n"so".', 1], ["", 2], [long, 3]])
        file.write("last\r\n")  # a row that is too short
    found = documents(str(path))
    assert list(found) == ['First,\r\n"so".', long, "last"]
    assert found.skipped == {"blank": 1, "null": 0}
    assert list(documents(str(path), column="n")) == ["1", "2", "3"]
    with pytest.raises(ValueError, match=r"a\.csv, line 3: .* 'body', there is \['text', 'n'\]"):
        documents(str(path), column="body")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b'{"text": "x"}', "a.json: expected a JSON list of objects or .*, it is dict"),
        ("a.json", b"[1]", "a.json, entry 0: expected a JSON object with the key 'text'"),
        ("a.json", b"[", "a.json: not JSON"),
        ("a.json", b"[]", "holds no text$"),
        ("a.csv", b"text,n\n", "holds no text$"),
        ("a.csv", b"body\nx\n", r"line 2: expected text in column 'text', there is \['body'\]"),
        ("a.parquet", b"nothing", "a.parquet cannot be read: "),
        ("a.jsonl.gz", b"nothing", "a.jsonl.gz is no whole gzip file"),
        (
            "a.txt.gz",
            gzip.compress(b"some text" * 99, mtime=0)[:-9],
            "a.txt.gz is no whole gzip file",
        ),
        ("a.jsonl", b'{"text": [1.5]}', "in column 'text', it is a list of float"),
        ("a.jsonl", b'{"text": [1, true]}', "in column 'text', it is a list of bool, int"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        documents(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_parquet_without_the_column_lists_what_there_is(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, ["a"])
    with pytest.raises(ValueError, match=r"row 0: .* column 'body', there is \['n', 'text'\]"):
        documents(str(path), column="body")


IDS = [[5, 6, 7], [], None, [8, 9, 9]]
MASKS = [[1, 1, 1], [], None, [1, 1, 0]]


def write_ids_jsonl(folder: Path, columns: dict[str, list]) -> Path:
    path = folder / "ids.jsonl"
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_ids_parquet(folder: Path, columns: dict[str, list]) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "ids.parquet")
    return folder / "ids.parquet"


def write_ids_saved(folder: Path, columns: dict[str, list]) -> Path:
    saved = datasets.Dataset.from_dict(columns).with_format("torch")
    saved.save_to_disk(str(folder / "ids"))
    return folder / "ids"


@pytest.mark.parametrize("write", [write_ids_jsonl, write_ids_parquet, write_ids_saved])
def test_token_ids_are_documents_without_their_padding(
    tmp_path: Path, write: Callable[[Path, dict], Path]
) -> None:
    path = write(tmp_path, {"input_ids": IDS})
    found = documents(str(path))
    assert list(found) == [[5, 6, 7], [8, 9, 9]]
    assert found.skipped == {"blank": 1, "null": 1}
    assert list(documents(str(path), column="input_ids")) == [[5, 6, 7], [8, 9, 9]]
    with pytest.raises(ValueError, match=r"column 'body', there is \['input_ids'\]"):
        documents(str(path), column="body")
    masked = write(tmp_path, {"input_ids": IDS, "attention_mask": MASKS})
    assert list(documents(str(masked))) == [[5, 6, 7], [8, 9]]


def test_text_comes_before_token_ids(tmp_path: Path) -> None:
    path = write_ids_jsonl(tmp_path, {"input_ids": [[1]], "text": ["one"]})
    assert list(documents(str(path))) == ["one"]
