"""What is done with a mixture: a mixture in, a mixture or numbers out."""
