"""The command line ``diffprior``: the same core as the widget and the scripts."""

from __future__ import annotations

import sys

from cyclopts import App, CycloptsError

from ..device import let_threads_sleep

app = App(name="diffprior", help="Restore scientific images with diffusion priors, and say how sure it is.", version_flags=[])
check = App(name="check", help="Check a prior or a sampler, and print what it is.")
bench = App(name="bench", help="Measure quality, coverage and speed on this machine.")
app.command(check)
app.command(bench)
MISTAKE = 2


def main() -> None:
    """Entry point: a mistake of the caller's is one sentence on stderr and exit code 2."""
    let_threads_sleep()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, ValueError, OSError) as error:
        sys.stderr.write(f"diffprior: {' '.join(str(error).split())}\n")
        return MISTAKE
    except KeyboardInterrupt:
        sys.stderr.write("diffprior: stopped; nothing was written.\n")
        return 130
    return code if isinstance(code, int) else 0
