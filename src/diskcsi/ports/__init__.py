"""What the rules ask of the outside: clouds, hosts, node facts. Protocols and plain values."""
