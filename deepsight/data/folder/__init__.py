"""Data sets that are folders of image files: which are read, as what, and how they are decoded."""
