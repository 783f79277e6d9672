"""What comes in: counts or events of the pixels of a q-bin, and the q-partition."""
