"""Many runs from one command: planned, tried, counted, searched and taken up again."""
