from mixtura.mixture import Mixture
