"""Writes spec/v1/parity/*/extended from what people wrote in tools/parity_cases.

python tools/build_parity_fixtures.py          # rewrites the files
python tools/build_parity_fixtures.py --check  # exit 1 if a file differs
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from parity_cases import (
    body_extraction,
    body_grounding,
    body_marks,
    body_nothing,
    body_numbers,
    body_pairs,
    body_quotes,
    body_refusals,
    body_schema,
    body_thinking,
    body_unions,
)
from parity_cases.case import Case, file_of
from parity_cases.row_forms import BIG, FORMS
from parity_cases.row_grown import GROWN
from parity_cases.row_markers import CUT
from parity_cases.row_members import DUPLICATES, MEMBERS
from parity_cases.row_numbers import NUMBERS
from parity_cases.row_texts import SURROGATES, TEXTS
from parity_cases.row_types import TYPES

SPEC = Path(__file__).parents[1] / "spec" / "v1" / "parity"
SUITES: dict[str, list[Case]] = {
    "session_log": [
        *TEXTS,
        *SURROGATES,
        *NUMBERS,
        *MEMBERS,
        *CUT,
        *DUPLICATES,
        *FORMS,
        *TYPES,
        *GROWN,
        *BIG,
    ],
    "validator": [
        *body_extraction.WHOLE_TEXTS,
        *body_extraction.FENCES,
        *body_extraction.REGIONS,
        *body_extraction.THOUGHTS,
        *body_thinking.THOUGHTS,
        *body_marks.FAMILIES,
        *body_nothing.NOTHINGS,
        *body_numbers.NUMBERS,
        *body_refusals.EDGES,
        *body_schema.KEYWORDS,
        *body_schema.NAMED,
        *body_schema.ARRAYS,
        *body_schema.PLACES,
        *body_schema.REFUSED,
        *body_unions.UNIONS,
        *body_grounding.VALUES,
        *body_grounding.ARRAYS,
        *body_grounding.FOLDED,
        *body_grounding.NUMBERS,
        *body_grounding.NEAR,
        *body_pairs.PAIRS,
        *body_quotes.QUOTES,
        *body_grounding.REFUSED_RULES,
    ],
}


def files() -> dict[Path, str]:
    """Give every file of the extended fixtures, by its path under spec/v1/parity."""
    found: dict[Path, str] = {}
    for suite, cases in SUITES.items():
        for case in cases:
            path = Path(suite) / "extended" / f"{case.name}.json"
            assert path not in found, f"{path} is there twice"
            found[path] = file_of(suite, case)
    return found


def main() -> None:
    """Write them, and remove those that nobody wrote; or only look what that would change."""
    written = files()
    there = {
        path.relative_to(SPEC): path.read_text("utf-8")
        for suite in SUITES
        for path in (SPEC / suite / "extended").glob("*.json")
    }
    changed = [path for path in written | there if written.get(path) != there.get(path)]
    if "--check" in sys.argv[1:]:
        print("\n".join(f"differs from tools/parity_cases: {path}" for path in changed))
        sys.exit(bool(changed))
    for path in changed:
        if path in written:
            (SPEC / path).parent.mkdir(exist_ok=True)
            (SPEC / path).write_text(written[path], "utf-8")
        else:
            (SPEC / path).unlink()
    print(", ".join(f"{suite}: {len(cases)}" for suite, cases in SUITES.items()))


if __name__ == "__main__":
    main()
