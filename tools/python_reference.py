"""The generated part of docs/reference/python.md: every public name, by its docstring and source.

`build_reference.py` writes it. A public name that stands in no section here is an error.
"""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import lakehouse
import lakehouse.testing

# The headings of the page, and the public names under each.
SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "Open a client": ("open", "open_async", "connect", "connect_async"),
    "Clients": ("Lake", "AsyncLake"),
    "Options": ("CreateOptions", "ManyOptions", "IterateFields"),
    "What you get": ("Session", "SessionAttempt", "SessionFinding", "Outcome"),
    "Markers": ("Grounded", "Within", "Quote", "Rule"),
    "Checks": ("Reject",),
    "Errors": ("LakehouseError", "Exhausted", "InfraError", "Refused", "SetupError"),
}
TESTING: Final = "Tests: `lakehouse.testing`"
# Public to our own code, and of no use to a reader.
HIDDEN: Final = {
    *("abandon_in_child", "batch", "detail", "exit_code", "given", "internal", "keyword", "public"),
    "status",
}
HIDES_METHODS: Final = {"InfraError"}
SAME: Final = "AsyncLake"  # its methods are told at `Lake`, which has the same
_SECTION: Final = re.compile(r"^(Args|Attributes|Raises):$")


class Home(NamedTuple):
    """Where a public name is defined: its source, and the object itself."""

    tree: ast.Module
    value: Any


def python_api() -> str:
    """Write all sections; fail if one lacks a public name, or has one that is not public."""
    listed = [name for names in SECTIONS.values() for name in names]
    if sorted(listed) != sorted(lakehouse.__all__):
        raise SystemExit(f"python.md: {sorted(set(listed) ^ set(lakehouse.__all__))}")
    lines: list[str] = []
    for heading, names in SECTIONS.items():
        lines += [f"## {heading}", ""]
        for name in names:
            lines += told(name, home_of(lakehouse, name))
    lines += [f"## {TESTING}", ""]
    for name in sorted(lakehouse.testing.__all__, key=str.lower):
        lines += told(name, home_of(lakehouse.testing, name))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip()


def home_of(package: Any, name: str) -> Home:
    """Find the source of a public name."""
    value = getattr(package, name)
    source = Path(inspect.getsourcefile(inspect.unwrap(value)) or "")
    return Home(ast.parse(source.read_text("utf-8")), value)


def told(name: str, home: Home) -> Iterator[str]:
    """Tell one name: a function with its signature, or a class with what it has."""
    yield from (f"### `{name}`", "")
    (node, *_) = [
        one
        for one in home.tree.body
        if isinstance(one, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and one.name == name
    ]
    if not isinstance(node, ast.ClassDef):
        yield from ("```", signature(node), "```", "")
        yield from prose(ast.get_docstring(node) or "")
        return
    fields = fields_of(node)
    docstring = ast.get_docstring(node) or ""
    constructor = [
        one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"
    ]
    if name in {*SECTIONS["Markers"], *SECTIONS["Checks"]}:
        made = signature(constructor[0], name) if constructor else made_of(name, fields)
        yield from ("```", made, "```", "")
        yield from prose(docstring)
    elif "Attributes:" in docstring:
        yield from prose(docstring.partition("Attributes:")[0])
        yield from table(fields, attributes(docstring))
    else:
        yield from prose(docstring)
        if fields:
            yield from table(fields, {})
    if name == SAME:
        yield from ("Its methods are those of `Lake`; see there.", "")
        return
    yield from methods(name, home)


def methods(name: str, home: Home) -> Iterator[str]:
    """Tell the public methods of a class; those of `Lake` in the words of `AsyncLake`."""
    whole = home_of(lakehouse, SAME).tree if name == "Lake" else home.tree
    docstrings = {one.name: ast.get_docstring(one) or "" for one in defined(whole, SAME)}
    seen = set()
    for one in defined(home.tree, name):
        is_property = any(ast.unparse(each).endswith("property") for each in one.decorator_list)
        hidden = one.name.startswith("_") or one.name in HIDDEN or name in HIDES_METHODS
        if hidden or one.name in seen:
            continue
        seen.add(one.name)
        own = ast.get_docstring(last(home.tree, name, one.name)) or ""
        docstring = own
        if name == "Lake" and one.name in docstrings:
            docstring = f"{docstrings[one.name]}\n\n{example_of(own)}"
        shown = f"{one.name}: {returned(one)}" if is_property else signature(one)
        yield from (f"#### `{name}.{one.name}`", "", "```", shown, "```", "")
        yield from prose(docstring)


def example_of(docstring: str) -> str:
    """Give the lines of a docstring from its prompt to the next empty line."""
    return f">>>{docstring.partition('>>>')[2]}".partition("\n\n")[0] if ">>>" in docstring else ""


def defined(tree: ast.Module, name: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """List the functions of a class and of its private bases, overloads too."""
    classes = {one.name: one for one in tree.body if isinstance(one, ast.ClassDef)}
    if name not in classes:
        return []
    own = [
        one for one in classes[name].body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    bases = [ast.unparse(base) for base in classes[name].bases]
    return own + [one for base in bases if base.startswith("_") for one in defined(tree, base)]


def last(tree: ast.Module, name: str, method: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """Give the definition itself, which stands after its overloads."""
    return [one for one in defined(tree, name) if one.name == method][-1]


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str = "") -> str:
    """Show a function's parameters as its source has them, without `self`."""
    arguments = ast.unparse(node.args).removeprefix("self, ").removeprefix("self")
    arguments = re.sub(r"Unpack\[(\w+)\]", r"\1", arguments)
    arguments = re.sub(r"=_[A-Z_]+", "=…", arguments).replace("=", " = ")
    result = f" -> {returned(node)}" if returned(node) and not name else ""
    return f"{name or node.name}({arguments}){result}"


def returned(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return "" if node.returns is None else ast.unparse(node.returns).replace("'", "")


def made_of(name: str, fields: Mapping[str, str]) -> str:
    """Show the constructor of a class that has fields only."""
    return f"{name}({', '.join(f'{field}: {said}' for field, said in fields.items())})"


def fields_of(node: ast.ClassDef) -> dict[str, str]:
    """List the fields of a class with their types, as its source has them."""
    found = {}
    for one in node.body:
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            default = f" = {ast.unparse(one.value)}" if one.value is not None else ""
            found[one.target.id] = ast.unparse(one.annotation) + default
    for one in node.body:  # of a class that is not a struct
        if isinstance(one, ast.FunctionDef) and one.name == "__init__":
            found |= dict(set_by(one))
    if found and any(ast.unparse(base) == "LakehouseError" for base in node.bases):
        found["hint"] = "str"
    return {
        name: said
        for name, said in found.items()
        if not name.startswith("_") and name not in HIDDEN and "ClassVar" not in said
    }


def set_by(constructor: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """List what a constructor sets, with its type, or that of the parameter of the same name."""
    arguments = [*constructor.args.args, *constructor.args.kwonlyargs]
    types = {one.arg: ast.unparse(one.annotation) for one in arguments if one.annotation}
    for one in ast.walk(constructor):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Attribute):
            yield one.target.attr, ast.unparse(one.annotation)
        elif isinstance(one, ast.Assign):
            for target in one.targets:
                if isinstance(target, ast.Attribute) and target.attr in types:
                    plain = isinstance(one.value, ast.Name)
                    said = types[target.attr]
                    yield target.attr, said if plain else said.removesuffix(" | None")


def attributes(docstring: str) -> dict[str, str]:
    """Read what a docstring says of each attribute."""
    found: dict[str, str] = {}
    name = ""
    for line in docstring.partition("Attributes:\n")[2].splitlines():
        begun = re.match(r"    (\w+): (.*)", line)
        if begun is not None:
            name, found[begun[1]] = begun[1], begun[2]
        elif line.strip():
            found[name] += f" {line.strip()}"
    return found


def table(fields: Mapping[str, str], told_of: Mapping[str, str]) -> Iterator[str]:
    """Show fields; if one is told of, each of them must be."""
    if told_of and set(told_of) != set(fields):
        raise SystemExit(f"Attributes: {sorted(set(told_of) ^ set(fields))}")
    yield "| member | type | means |" if told_of else "| member | type |"
    yield "| --- | --- | --- |" if told_of else "| --- | --- |"
    for name, said in fields.items():
        shown = said.removesuffix(" | None") if told_of else said
        shown = shown.replace("|", "\\|")
        means = f" {told_of[name].replace('|', chr(92) + '|')} |" if told_of else ""
        yield f"| `{name}` | `{shown}` |{means}"
    yield ""


def prose(docstring: str) -> Iterator[str]:
    """Show a docstring: sections as lists, indented lines and examples as code."""
    code: list[str] = []
    in_section = in_example = False
    for line in [*docstring.splitlines(), ""]:
        in_example = bool(line) and (in_example or line.startswith(">>>"))
        if in_example:
            code.append(line)
            continue
        section = _SECTION.match(line)
        entry = re.match(r"    (\w+): (.*)", line)
        if line.startswith("    ") and not in_section:
            code.append(line.removeprefix("    "))
            continue
        if code and line:
            yield from ("```", *code, "```", "")
            code = []
        if section is not None:
            in_section = True
            yield from (f"{section[1]}:", "")
        elif in_section and entry is not None:
            yield f"- `{entry[1]}`: {entry[2]}"
        elif in_section and line.startswith("    "):
            yield f"  {line.strip()}"
        else:
            in_section = in_section and bool(line)
            yield line
    if code:
        yield from ("```", *code, "```", "")
