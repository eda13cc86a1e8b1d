"""Motion while it arrives: packets in, frames out, and the sources that packets come from."""
