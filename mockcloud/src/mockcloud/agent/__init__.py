"""What runs on each machine of a cloud whose machines share one kernel."""
