"""``python -m deepsight.confirm``."""

import os
import sys

from deepsight.confirm.cli import main

if __name__ == "__main__":
    code = main()
    if code > 128:  # as in deepsight.tune: a signal does not wait for Ray's goodbyes
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)
