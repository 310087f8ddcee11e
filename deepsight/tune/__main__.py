"""``python -m deepsight.tune``."""

from deepsight.tune.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
