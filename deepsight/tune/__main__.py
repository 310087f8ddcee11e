"""``python -m deepsight.tune``."""

import os
import sys

from deepsight.tune.cli import main

if __name__ == "__main__":
    code = main()
    if code > 128:  # a signal: the interpreter's own end would cost Ray's goodbyes another second
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)
