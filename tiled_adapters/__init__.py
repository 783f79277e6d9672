"""Everything the suite speaks to Tiled: formats, server, results and their clients."""
