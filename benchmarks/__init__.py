"""What cronwrap costs, against what people use today: ``python -m benchmarks``."""
