"""Networks as lists of named layers: kinds, graph, shapes, the zoo, the torch module."""
