"""What the values and colours in mask files mean: tables of names, a scan of the masks, and the rules between them."""
