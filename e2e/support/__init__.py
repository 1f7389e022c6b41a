"""What the scenarios speak with: Kubernetes, the cloud's own view, and the machines below both."""
