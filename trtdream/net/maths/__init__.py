"""The mathematics of the layers that torch has not as Caffe means them."""
