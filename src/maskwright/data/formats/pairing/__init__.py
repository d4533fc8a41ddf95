"""Which mask belongs to which image, and where the layout puts them: names, lists, stacks. Reads no value."""
