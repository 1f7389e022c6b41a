"""The command's entry: `diskcsi`, and `python -m diskcsi`."""

from __future__ import annotations

import gc


def main() -> None:
    """Run the command line."""
    gc.disable()  # `cli` enables it again, and says why it was off
    from diskcsi.cli import main as command_line

    command_line(prog_name="diskcsi")


if __name__ == "__main__":
    main()
