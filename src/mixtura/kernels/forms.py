"""The forms that covariances can be held to: what their components have in common.

``Σ_k = λ_k D_k A_k D_kᵀ`` with volume λ, orientation D and shape A, ``det A = 1`` (Celeux &
Govaert 1995). The letters of a name say of volume, shape and orientation whether they are equal
(E) or vary (V); a third letter I is the identity, for diagonal covariances. FREE holds nothing.
"""

from __future__ import annotations

__all__ = ["COMMON_AXES", "EEV", "EVE", "EVI", "EVV", "FREE", "VEE", "VEI", "VEV", "VVE"]

FREE = 0
VEI = 1
EVI = 2
VEE = 3
EVE = 4
VVE = 5
EEV = 6
VEV = 7
EVV = 8

COMMON_AXES = (EVE, VVE)
"""Forms with one orientation for varying shapes: their M-step climbs over orientations."""
