"""Speed and memory of graphcl beside other libraries: `python -m benchmarks.speed`."""
