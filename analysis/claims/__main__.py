"""``python -m analysis.claims``."""

import sys

from analysis.claims.cli import main

if __name__ == "__main__":
    sys.exit(main())
