"""The entry point: the verbs, and the handling of every error. Imports nothing that is slow to import.

Exit codes: 0 success, 1 internal error, 2 user error, 130 interrupted, 141 output closed by its reader. Each verb has
its own file, named after it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from typer.main import get_command

from maskwright.cli import (
    compare,
    compress,
    demo,
    diagnose,
    edges,
    evaluate,
    export,
    import_,
    inspect,
    losses,
    models,
    plan,
    predict,
    serve,
    superpixels,
    train,
    tune,
)
from maskwright.cli.errors import (
    DONE,
    NOTHING_WRITTEN,
    UNREAD,
    YOURS,
    bad_value,
    explain,
    install_signal_handlers,
    interruption_code,
)
from maskwright.cli.verb import Verb

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERBS: dict[str, Callable[..., int]] = {
    "inspect": inspect.inspect,
    "plan": plan.plan,
    "train": train.train,
    "tune": tune.tune,
    "evaluate": evaluate.evaluate,
    "compare": compare.compare,
    "diagnose": diagnose.diagnose,
    "predict": predict.predict,
    "edges": edges.edges,
    "superpixels": superpixels.superpixels,
    "export": export.export,
    "compress": compress.compress,
    "serve": serve.serve,
    "import": import_.import_,
    "models": models.models,
    "losses": losses.losses,
    "demo": demo.demo,
}

# Rich help pages cost 0.2 s of imports, and plain ones also read well in a pipe.
app = typer.Typer(
    name="maskwright",
    help="From a folder of images and masks to a segmentation model you can trust.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _name, _verb in VERBS.items():
    app.command(_name, cls=Verb)(_verb)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"maskwright {version('maskwright')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks. Works anywhere on the line; or set MASKWRIGHT_DEBUG=1.")
    ] = False,
) -> None:
    """Accept the options before the verb; a callback handles `--version`, and `run` reads `--debug`."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors go to stderr, and with `--json` to stdout too.

    Args:
        arguments: everything after the name of the program.

    Raises:
        BrokenPipeError: the reader of stdout or stderr has closed it.
    """
    debug = "--debug" in arguments or bool(os.environ.get("MASKWRIGHT_DEBUG"))
    arguments = [argument for argument in arguments if argument != "--debug"]
    as_json = "--json" in arguments
    try:
        with warnings.catch_warnings():
            if not debug and not sys.warnoptions:
                _hush_libraries()
            code = _main(arguments)
    except typer.TyperException as error:
        _complain(_usage(error), as_json=as_json)
        return YOURS
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 (the one place where every error becomes words)
        if debug:
            traceback.print_exc()
        exit_code, paragraph = explain(error, arguments)
        _complain(paragraph, as_json=as_json)
        return exit_code
    return int(code or DONE)


def _main(arguments: list[str]) -> Any:
    """Run the verb. Only an interruption before its work arrives here: `Terminal.working` handles the others."""
    command = get_command(app)
    try:
        with command.make_context("maskwright", arguments) as context:
            return command.invoke(context)
    except typer.Exit as stop:
        return stop.exit_code
    except KeyboardInterrupt as error:
        sys.stderr.write(f"{NOTHING_WRITTEN}\n")
        return interruption_code(error)


def main() -> None:
    """Run the command line of this process, and exit with its code."""
    escape_unprintable(sys.stdout)
    install_signal_handlers()
    try:
        code = run(sys.argv[1:])
    except BrokenPipeError:
        code = UNREAD
        # What is still buffered goes nowhere: Python would complain about it while exiting.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def escape_unprintable(stream: TextIO) -> None:
    r"""Make a stream write `\u80cc` for a character that its encoding lacks; stderr does so by itself."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _hush_libraries() -> None:
    """Hide developer warnings of other libraries from users; --debug shows them."""
    for category in (DeprecationWarning, FutureWarning, UserWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)


def _usage(error: typer.TyperException) -> str:
    """Write a usage error in one paragraph that refers to the matching help page."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "maskwright"
    message = (bad_value(error) or error.format_message()).strip().rstrip(".")
    return f"{message}. See `{command} --help`"


def _complain(paragraph: str, *, as_json: bool) -> None:
    """Write the message on stderr, and as a JSON document on stdout; depends on nothing but the streams."""
    if as_json and os.environ.get("RANK", "0") == "0":
        with contextlib.suppress(BrokenPipeError):  # the reader has closed stdout; stderr has the message
            sys.stdout.write(json.dumps({"error": paragraph}) + "\n")
            sys.stdout.flush()
    sys.stderr.write(f"maskwright: {paragraph if paragraph.endswith('?') else paragraph.rstrip('.') + '.'}\n")


if __name__ == "__main__":
    main()
