"""Many small changes to one book: what changes, the numbers that move with it, and the program that stays loaded."""
