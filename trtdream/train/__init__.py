"""Training: Caffe's solver, the loop around it, snapshots, tests, one process or many."""
