"""All commands in one: ``deepsight report runs/STUDY`` is ``python -m analysis.report runs/STUDY``.

The package `analysis` that runs is ours, whatever lies in the current directory.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from deepsight.command_line import EXIT_INTERRUPTED
from deepsight.installed import own_analysis

COMMANDS = {
    "tune": ("deepsight.tune", "search hyperparameters"),
    "adopt": ("analysis.adopt", "a study of what another tool wrote"),
    "summary": ("analysis.summary", "what came out, in a few lines"),
    "report": ("analysis.report", "what a study says, as a page with figures"),
    "confirm": ("deepsight.confirm", "is it true on fresh seeds?"),
    "claims": ("analysis.claims", "is what one says of a study so?"),
    "diagnose": ("analysis.diagnose", "where the best model fails"),
    "predict": ("deepsight.predict", "what new images show"),
    "export": ("deepsight.export", "a model for others, with a model card"),
    "track": ("deepsight.track", "a study in MLflow or Weights & Biases"),
    "pretrain": ("deepsight.pretrain", "embedded weights anew"),
    "find-lr": ("deepsight.training.lr_finder", "a learning rate in one pass"),
}
"""The module of each command, and what it is for."""
EXIT_USAGE = 2


def main() -> int:
    """Run the command that the first argument names, as ``python -m`` would.

    Returns:
        The exit code where there is no such command, or Ctrl-C comes before it has begun; a
        command exits by itself.
    """
    _search_current_directory_last()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        lines = [f"  {command:10} {told}" for command, (_, told) in COMMANDS.items()]
        sys.stdout.write("usage: deepsight COMMAND ...\n\n" + "\n".join(lines) + "\n")
        sys.stdout.write("\ndeepsight COMMAND --help says more.\n")
        return 0
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        sys.stderr.write(f"error: deepsight has no command {name!r}.\nCommands: {known}.\n")
        return EXIT_USAGE
    del sys.argv[1]
    try:
        with own_analysis():
            runpy.run_module(COMMANDS[name][0], run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:  # while the modules of the command are imported
        return EXIT_INTERRUPTED
    return 0


def _search_current_directory_last() -> None:
    """Let code of the user's be imported from here, and hide nothing that is installed."""
    here = str(Path.cwd())
    sys.path[:] = [path for path in sys.path if path not in ("", here)] + [here]


if __name__ == "__main__":
    sys.exit(main())
