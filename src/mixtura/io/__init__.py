"""Tables in and out, and the model file."""
