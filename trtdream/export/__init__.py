"""From a Net to an ONNX graph and an engine: precision, calibration, build, manifest, verification."""
