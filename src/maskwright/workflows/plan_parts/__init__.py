"""What `plan` is made of: the requested values, the starting weights, what a step costs, settings without a use."""
