"""Caffe's files, read and written: prototxt, caffemodel (V1, V2, HDF5), binaryproto, LMDB."""
