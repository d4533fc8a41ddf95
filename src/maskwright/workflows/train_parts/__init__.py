"""What `train` is made of: the network, the loop with its inputs, and everything after the last step."""
