"""Makes the cluster: `python -m e2e.cluster up`, and takes it away: `python -m e2e.cluster down`."""
