"""Parallel work: spawned workers on many files (``pool``) and several processes in one training.

``ranks`` knows this process among those that torchrun started, ``ddp`` trains a model in all of them, ``threads``
counts the usable cores and sets how OpenMP's threads wait.
"""
