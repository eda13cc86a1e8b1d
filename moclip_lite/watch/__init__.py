"""Events of live cameras: windows slide over each stream, their labels are joined and given out at once."""
