"""The Kubernetes API behind `ports/cluster.py`: a light client, imported on first use."""
