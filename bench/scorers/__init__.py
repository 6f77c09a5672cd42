"""From views, or from a field, to numbers; which of them count is for `bench.metrics.protocols` to say."""
