"""Files to samples: formats, readers, splits, cache, augmentation and sampling. Knows no model and no torch."""
