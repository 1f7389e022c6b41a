"""The machines that a node plug-in runs on, one package for each kind."""
