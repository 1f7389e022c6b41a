"""Logs, metrics and health checks; knows no volume."""
