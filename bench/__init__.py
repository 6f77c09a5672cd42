"""The harness: suites of trials, how they are trained, scored, stored, compared and shown."""
