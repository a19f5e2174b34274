import ast
import inspect
import json
import pydoc
import sys
from pathlib import Path
from pydoc_data.topics import topics

import datasets
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


def test_builtin_is_the_same_every_time_and_has_no_document_twice(builtin: list[str]) -> None:
    assert list(documents("builtin")) == builtin
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
    with pytest.raises(ValueError, match=r"holds no \.txt, \.md, \.rst, \.jsonl file"):
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


def test_without_datasets_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r'needs datasets: pip install "twinsae\[demo\]"'):
        documents("hf:anything")
