"""Sums over the pixels of a q-bin, and what they are normalised by."""
