"""Results of runs: run folders, metrics, statistics, reports."""
