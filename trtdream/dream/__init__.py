"""Gradient ascent on pictures: the classic DeepDream."""
