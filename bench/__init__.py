"""Benchmarks: what one core of this machine does with Doorward, beside what it can do at all."""
