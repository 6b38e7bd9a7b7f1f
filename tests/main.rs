//! End to end: the real window and the real programs, one commented module per area.
