"""What `evaluate` is made of: the model with its data, scoring, and the comparison with a postprocessor."""
