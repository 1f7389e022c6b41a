"""Concurrency that knows no volume: flights, batches, waits, locks, slots, pauses."""
