"""``python -m snapdir``."""

from snapdir.cli.main import main

if __name__ == "__main__":
    main()
