"""How the clips of an experiment are divided into folds, and what each fold decides from its own clips."""
