"""``python -m analysis.adopt``."""

import sys

from analysis.adopt.command import main

sys.exit(main())
