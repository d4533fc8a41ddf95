"""What the formats of drawn outlines share: finding their files and images, and turning objects into shapes."""
