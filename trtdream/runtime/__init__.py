"""Run a network: pictures in, the preprocessing that a network was trained with, results out."""
