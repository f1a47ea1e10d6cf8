"""How good a model is: metrics, a judge, pictures, tables."""
