"""What the tests, the benchmarks and the demonstration stand on: servers, processes, conditions."""
