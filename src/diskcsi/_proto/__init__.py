"""Generated from protos/ by tools/protos.py; never edited. Start at `csi.v1`."""
