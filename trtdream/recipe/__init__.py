"""What to train, on what and how: YAML recipes, their overrides, and Caffe's solver files in their place."""
