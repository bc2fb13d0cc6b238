"""Triton kernels for channels_last tensors, as torch operators that torch.compile and CUDA graphs keep.

Each has a form of torch's own in `trtdream.net.maths`, against which it is tested. Importing a module of this room
needs Triton, which comes with torch for CUDA.
"""
