"""Data modules: served as pairs (x, y), one file per source."""
