"""A kind cluster in which the whole path is real, and the scenarios that run in it."""
