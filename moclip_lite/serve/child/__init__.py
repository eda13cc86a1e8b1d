"""The analysing process: the only one that opens videos."""
