"""``python -m deepsight.track``."""

import sys

from deepsight.track.cli import main

if __name__ == "__main__":
    sys.exit(main())
