"""Data modules: labelled images served as pairs (x, y), one file per source."""
