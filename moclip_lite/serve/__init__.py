"""The web page and its HTTP interface: a video in, its labels over time out."""
