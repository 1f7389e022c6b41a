"""What the driver costs, each figure beside the floor that nothing could get below.

`python -m benchmarks` runs them all. They are commands and never tests: machines are noisy, so a
figure that has a floor is told as a ratio to it, both taken in the same run.
"""
