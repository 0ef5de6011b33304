"""Integrals of the normal density over intervals and boxes: arrays in, arrays out."""
