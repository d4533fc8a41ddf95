"""The service does what its OpenAPI document says, as Schemathesis judges it, where that program is installed."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serve.conftest import Running

PROGRAM = shutil.which("schemathesis")


@pytest.mark.skipif(PROGRAM is None, reason="schemathesis is not installed: pip install schemathesis")
def test_the_service_keeps_to_its_document(served: Running, tmp_path: Path) -> None:
    """Valid, invalid and random requests for each path: no status of 500, none that the document does not name."""
    url = f"http://127.0.0.1:{served.port}"
    # No schema can say that the bytes of an upload are an image.
    options = ["--exclude-checks", "positive_data_acceptance", "--request-timeout", "60", "--no-color"]
    done = subprocess.run(
        [PROGRAM, "run", f"{url}/openapi.json", "--url", url, "--max-examples", "40", "--seed", "1", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 selected / 7 total" in done.stdout
