"""What `plan` is made of: the requested values, the starting weights, settings without a use."""
