"""One name, one thing: public classes are named once, and the glossary names classes that exist."""

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "lakehouse"
GLOSSARY = ROOT / "docs" / "reference" / "glossary.md"
WORD_CHARS_MAX = 200  # of a meaning: one or two sentences


def homes() -> dict[str, list[str]]:
    """Every public class with the modules that define it, also inside functions and classes."""
    found: dict[str, list[str]] = defaultdict(list)
    for module in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(module.relative_to(SOURCE)))
    return found


def entries() -> list[tuple[str, str, list[str]]]:
    """The glossary's rows: a word, its meaning, the classes named."""
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", GLOSSARY.read_text("utf-8"), re.MULTILINE
    )
    return [
        (word, meaning, re.findall(r"`(\w+)`", classes))
        for word, meaning, classes in rows
        if word not in {"word", "---"}
    ]


def test_a_public_class_name_has_one_home():
    found = homes()

    assert len(found) > 200
    assert {name: modules for name, modules in found.items() if len(modules) > 1} == {}


def test_every_class_that_the_glossary_names_exists():
    """Wherever it is defined: a class may move, and the glossary stays right."""
    found = homes()
    listed = entries()

    assert len(listed) >= 40
    assert [word for word, _, classes in listed if not classes] == []
    assert [name for _, _, classes in listed for name in classes if name not in found] == []


def test_the_glossary_is_sorted_short_and_says_each_word_once():
    words = [word for word, _, _ in entries()]

    assert words == sorted(set(words))
    assert [word for word, meaning, _ in entries() if len(meaning) > WORD_CHARS_MAX] == []


def test_the_glossary_is_found_from_the_index():
    assert "(reference/glossary.md)" in (ROOT / "docs" / "README.md").read_text("utf-8")
    assert "(docs/reference/glossary.md)" in (ROOT / "README.md").read_text("utf-8")
