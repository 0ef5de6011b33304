"""``python -m mixtura.kernels``: compile all kernels now."""

from mixtura.kernels.ahead import compile_all

if __name__ == "__main__":
    compile_all()
