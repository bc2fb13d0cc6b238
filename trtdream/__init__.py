"""From JPEGs, or a Caffe-era model, to a verified TensorRT engine, and into its dreams."""

__version__ = "0.1.0"
