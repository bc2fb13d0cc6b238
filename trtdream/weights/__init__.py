"""Where named weights come from: official files, Caffe's files, safetensors, bundles."""
