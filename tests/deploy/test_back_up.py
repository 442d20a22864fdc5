"""The page's script copies a log while files move in it: each row is in the copy once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.layout import log_files
from lakehouse.sessionlog.reading.reader import read_rows
from support.containerfile import ROOT
from support.dead_writer import dead_writer
from support.doc_pages import blocks
from support.rows import make_row

PAGE = ROOT / "docs" / "how-to" / "size-and-back-up.md"


def script() -> str:
    """The script that the page writes."""
    (block,) = [block.body for block in blocks(PAGE) if "cat > back-up.sh" in block.body]
    return block.partition("<<'END'\n")[2].partition("\nEND\n")[0]


def test_a_file_that_is_sealed_meanwhile_is_neither_missed_nor_doubled(tmp_path: Path) -> None:
    log, copy, shims = tmp_path / "log", tmp_path / "copy", tmp_path / "bin"
    rows = [make_row() for _ in range(5)]
    dead_writer(log, rows=rows)
    copy.mkdir(mode=0o700)
    shims.mkdir()
    # `cp` of the script, after whose first call the file moves.
    real, done = shutil.which("cp"), tmp_path / "sealed"
    (shims / "cp").write_text(
        f'#!/bin/sh\n{real} "$@" || exit 1\n[ -e {done} ] && exit 0\n'
        f"{sys.executable} -m lakehouse log seal --config {tmp_path}/lakehouse.toml > {done}\n"
    )
    (shims / "cp").chmod(0o755)
    (tmp_path / "lakehouse.toml").write_text('[log]\npath = "log"\n')

    subprocess.run(
        ["sh", "-c", script(), "back-up.sh", str(log), str(copy)],
        env=os.environ | {"PATH": f"{shims}:{os.environ['PATH']}"},
        check=True,
        timeout=60,
    )

    assert "sealed 1 segment" in done.read_text()
    assert [file.directory for file in log_files(copy)] == ["sealed"]
    assert list((copy / "active").iterdir()) == []
    assert sorted(read_rows(copy)) == sorted(map(encode_line, rows))
    assert verify(copy).bad == ()
