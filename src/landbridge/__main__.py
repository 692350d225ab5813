"""``python -m landbridge``."""

from landbridge.cli import main

if __name__ == "__main__":  # the processes that work on splits import this module, too
    main()
