"""torchmetrics metrics: numbers over a whole split, synchronised between processes.

One file for each question. Sums are kept in float64 on the device, so that no step waits for a
number.
"""
