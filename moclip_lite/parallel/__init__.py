"""Parallel work: many jobs in processes here or on a cluster, and several processes in one training.

``runner`` chooses what runs the jobs: ``pool`` or ``cluster``. ``ranks`` numbers this process among those
that torchrun started, ``ddp`` trains a model in all of them, ``threads`` counts the usable cores and sets how
OpenMP's threads wait.
"""
