"""Pure array maths: images, masks, distances, tiles, drawing. Knows no file, no model and no torch."""
