"""``python -m analysis.adopt``."""

import sys

from analysis.adopt.command import main

if __name__ == "__main__":
    sys.exit(main())
