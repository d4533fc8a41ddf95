"""maskwright: from a folder of images and masks to a segmentation model that one can trust."""
