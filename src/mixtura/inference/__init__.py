"""What a fit is worth: numerical checks of its solution."""
