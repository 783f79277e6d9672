"""What must hold before anything is classified: frames, pixels, photons, maps."""
