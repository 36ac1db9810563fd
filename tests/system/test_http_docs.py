# SPDX-License-Identifier: Apache-2.0
"""
The requests of ``docs/http-api.md``, pasted into a shell as they stand, against a real daemon.

Only what a reader brings along is supplied: ``$KEY``, ``$ID``, a photo, and a ``.curlrc`` that says
where ``hub.example`` is and which certificate to trust.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from edge_twisted.security.api_keys import generate
from tests.system.daemon import ROOT, environment, running
from tests.system.fixtures import configuration, write_certificate, write_configuration

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl"),
]

PHOTO = b"\xff\xd8\xff\xe0 not quite a photo \x00" * 5000


def examples() -> list[str]:
    """Return the page's indented blocks, in order."""
    blocks: list[list[str]] = [[]]
    for line in (ROOT / "docs" / "http-api.md").read_text().splitlines():
        if line.startswith("    "):
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return [dedent("\n".join(block)) for block in blocks if block]


def paste(block: str, folder: Path, **variables: str) -> str:
    """Run a block in a shell; return what it printed."""
    done = subprocess.run(
        ["bash", "-c", block],
        cwd=folder,
        env=environment({"CURL_HOME": str(folder), "NO_PROXY": "*", **variables}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stderr}"
    return done.stdout


def like(answer: Any, documented: Any) -> bool:
    """Whether two answers have the same members in the same order, and equal texts and lists."""
    assert list(answer) == list(documented)
    return all(
        documented[name] == answer[name]
        for name in documented
        if not isinstance(documented[name], int) and name != "id"
    )


def test_the_documented_requests_work_as_pasted(tmp_path: Path) -> None:
    """Every ``curl`` of the page, in its order, and the answers that the page shows."""
    commands = [block for block in examples() if block.startswith("curl ")]
    answers = [json.loads(block) for block in examples() if block.startswith('{"')]
    select, insert, transaction, upload, download = commands
    inserted, uploaded, refused = answers
    made = generate()
    data = configuration()
    data["auth"] = {
        "identities": {"a": {"credential": {"api_key": made.hash}, "permissions": ["all"]}},
        "permission_sets": {"all": {"permissions": "full"}},
    }
    write_certificate(tmp_path / "cert.pem", tmp_path / "key.pem", "hub.example")
    path = write_configuration(tmp_path, data)
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    with running(["--config", str(path)], tmp_path) as daemon:
        (tmp_path / ".curlrc").write_text(
            f'cacert = "{tmp_path}/cert.pem"\nsilent\nshow-error\nmax-time = 30\n'
            f'connect-to = "hub.example:443:127.0.0.1:{daemon.port}"\n'
        )

        def run(block: str, **variables: str) -> Any:
            return json.loads(paste(block, tmp_path, KEY=made.key, **variables))

        assert run(select)["items"] == []
        answer = run(insert)
        assert like(answer, inserted)
        assert answer["commitId"] == answer["transactionId"] > 0
        both = run(transaction)
        assert [each["mutatedDocumentIds"] for each in both["results"]] == [["t2"], ["t2"]]
        assert both["commitId"] > answer["commitId"]
        assert [each["done"] for each in run(select)["items"]] == [False, True]

        token = run(upload)
        assert like(token, uploaded)
        assert token["len"] == len(PHOTO)
        paste(download, tmp_path, KEY=made.key, ID=token["id"])
        assert (tmp_path / "copy.jpg").read_bytes() == PHOTO

        error = run(select.replace("FROM", "FRM"))["error"]
        shown = refused["error"]
        assert {**error, "description": "..."} == shown
        assert daemon.stop() == 0
