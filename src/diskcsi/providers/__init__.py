"""Clouds behind the provider interface, and the registry that finds them."""
