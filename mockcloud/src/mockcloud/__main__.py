"""`python -m mockcloud`."""

from mockcloud.cli import main

main()
