"""From files to batches: sources, the DALI pipelines, packed sets, the mean image, scanning, drawing."""
