"""Training: the LightningModule, its callbacks, checkpoints, and exact resume."""
