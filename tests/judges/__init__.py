"""Judges of the optimiser that share no code with it: random books, a naive program, an exact lot optimum."""
