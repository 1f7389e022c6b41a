"""`python -m diskcsi`, for where the command isn't on the search path."""

from __future__ import annotations

from diskcsi.cli import main

if __name__ == "__main__":
    main(prog_name="diskcsi")
