"""The cluster side's rules: what CSI demands of a controller, for any cloud."""
