"""From a configuration to objects, and from errors to one line."""
