"""`maskwright serve`: models behind HTTP, with a page to look at their results. Serves nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.options import AsJson, Device, Engine, Postprocess
from maskwright.cli.terminal import Terminal
from maskwright.core.text import plural

Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN", help="Runs, exports or model files; NAME=RUN gives one a name.", show_default=False),
]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on; any but this machine needs a token.")]
Port = Annotated[int, typer.Option(metavar="N", help="Port to listen on; 0 for any that is free.")]
Token = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        envvar="MASKWRIGHT_TOKEN",
        show_envvar=False,
        help="Secret that requests must bring; or set MASKWRIGHT_TOKEN, which other users of the machine cannot see.",
    ),
]
GalleryFolder = Annotated[
    Path | None, typer.Option("--gallery", metavar="DIR", help="Folder of images that the page offers.")
]
Fast = Annotated[
    bool,
    typer.Option("--fast", help="Use bfloat16: about twice as fast if the processor supports it; a few pixels differ."),
]
Batch = Annotated[
    int | None,
    typer.Option(metavar="N", help="Most tiles in one run of the network.  [default: 1 on a CPU, 8 on a GPU]"),
]
Queue = Annotated[int, typer.Option(metavar="N", help="Requests that may wait; further ones are refused with 429.")]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", help="Longest time from upload to answer.")]
MaxMb = Annotated[float, typer.Option("--max-mb", metavar="MB", help="Largest upload, in megabytes.")]
MaxMegapixels = Annotated[
    float, typer.Option("--max-megapixels", metavar="N", help="Largest image, in millions of pixels.")
]


def serve(
    runs: Runs,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    token: Token = None,
    gallery: GalleryFolder = None,
    device: Device = "auto",
    engine: Engine = None,
    fast: Fast = False,
    postprocess: Postprocess = None,
    batch: Batch = None,
    queue: Queue = 64,
    timeout: Timeout = 30.0,
    max_mb: MaxMb = 64.0,
    max_megapixels: MaxMegapixels = 64.0,
    as_json: AsJson = False,
) -> int:
    """Serve models over HTTP.

    Images in, masks out, and a page in the browser. Ctrl-C or SIGTERM ends it after what was accepted is answered.
    """
    from maskwright.core.optional import optional
    from maskwright.serve.settings import ServeRequest

    request = ServeRequest(
        host, port, token, gallery, device, engine, fast, postprocess, batch, queue, timeout, max_mb, max_megapixels
    )
    for package in ("fastapi", "uvicorn", "prometheus_client"):
        optional(package, "serve")
    from maskwright.serve.server import serve as run

    terminal = Terminal(as_json=as_json)

    def tell(url: str, names: list[str]) -> None:
        terminal.answer({"url": url, "models": names})
        terminal.say(f"serving {', '.join(names)} at {url} (Ctrl-C stops)")

    line = run(runs, request, tell)
    left = line.accepted - line.answered
    gone = f"; {plural(left, 'client')} had left" if left else ""
    terminal.say(f"stopped: {line.accepted} requests were accepted, and {line.answered} were answered{gone}")
    return DONE
