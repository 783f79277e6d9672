"""Correlation by lag and by age: g2 at all lags or multi-tau, maps of long scans."""
