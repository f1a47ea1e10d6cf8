"""The console commands, thin: a task each, run by Hydra's main."""
