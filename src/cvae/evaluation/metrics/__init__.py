"""Numbers over a whole split; those of a test are torchmetrics metrics, synchronised between
processes.

One file for each question. Sums are kept in float64 on the device, so that no step waits for a
number.
"""
