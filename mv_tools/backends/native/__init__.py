"""H.264 motion parsed by the Rust module, without decoding samples."""
